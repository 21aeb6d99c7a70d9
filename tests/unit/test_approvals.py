from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.approvals import FILE, ApprovalNeed, Decision, needed, satisfied
from shared.errors import ConfigurationError
from tests.unit.rego_cases import CASES

ROLES = ["Approver", "FinOps", "Admin"]
NEEDS = st.lists(
    st.builds(
        ApprovalNeed,
        rule=st.uuids().map(str),
        any_of_roles=st.sets(st.sampled_from(ROLES), min_size=1).map(tuple),
        count=st.integers(1, 2),
        not_by=st.just(("requester",)),
    ),
    max_size=3,
)
DECISIONS = st.lists(
    st.builds(
        Decision,
        principal=st.sampled_from(["requester", "ann", "ben", "cy", "dee"]),
        verdict=st.sampled_from(["approve", "approve", "approve", "reject"]),
        roles=st.sets(st.sampled_from(ROLES)).map(tuple),
    ),
    max_size=5,
    unique_by=lambda decision: decision.principal,
)


def approve(principal: str, *roles: str, teams: tuple[str, ...] = ()) -> Decision:
    return Decision(principal=principal, verdict="approve", roles=roles, teams=teams)


def rules_of(needs: list[ApprovalNeed]) -> list[str]:
    return [need.rule for need in needs]


def test_every_plan_needs_one_approver_who_is_not_the_requester() -> None:
    (need,) = needed([], ["dev"], "rita")
    assert (need.rule, need.any_of_roles, need.count, need.decided_in) == ("platform", ("Approver",), 1, "appstore")
    assert satisfied([need], []) == [need]
    assert satisfied([need], [approve("rita", "Approver")]) == [need]
    assert satisfied([need], [approve("adam", "Requester")]) == [need]
    assert satisfied([need], [approve("adam", "Approver")]) == []


@pytest.mark.parametrize(
    ("findings", "rules"),
    [
        (["PLN-012"], ["platform", "finops"]),
        (["REQ-010"], ["platform", "security"]),
        (["PLN-007", "PLN-012"], ["platform", "finops", "security"]),
        (["NEW-001"], ["platform", "security"]),
    ],
)
def test_findings_add_their_approvals(findings: list[str], rules: list[str]) -> None:
    assert rules_of(needed(findings, ["dev"], "rita")) == rules


def test_no_finding_of_the_policies_goes_unapproved() -> None:
    for finding in {finding for case in CASES for finding in case.require_approval}:
        assert any(finding in need.findings for need in needed([finding], [], "rita"))


def test_one_person_counts_for_one_need() -> None:
    needs = needed(["PLN-012"], ["dev"], "rita")
    fred = approve("fred", "Approver", "FinOps")
    assert rules_of(satisfied(needs, [fred])) == ["finops"]
    assert satisfied(needs, [fred, approve("adam", "Approver")]) == []


def test_the_same_person_twice_is_one_person() -> None:
    need = ApprovalNeed(rule="two", any_of_roles=("Approver",), count=2)
    assert satisfied([need], [approve("adam", "Approver"), approve("adam", "Approver")]) == [need]
    assert satisfied([need], [approve("adam", "Approver"), approve("eve", "Approver")]) == []


def test_a_team_may_answer_instead_of_a_role() -> None:
    (_, security) = needed(["REQ-010"], ["dev"], "rita")
    assert satisfied([security], [approve("sam", teams=("security",))]) == []
    assert satisfied([security], [approve("sam", teams=("payments",))]) == [security]


def test_who_rejected_is_no_approver() -> None:
    needs = needed([], ["dev"], "rita")
    no = Decision(principal="adam", verdict="reject", roles=("Approver",))
    assert satisfied(needs, [no]) == needs
    assert satisfied(needs, [approve("adam", "Approver"), no]) == needs


@given(NEEDS, DECISIONS)
def test_the_order_of_decisions_does_not_matter(needs: list[ApprovalNeed], decisions: list[Decision]) -> None:
    assert satisfied(needs, decisions) == satisfied(needs, decisions[::-1])


@given(NEEDS, DECISIONS)
def test_all_is_met_exactly_when_different_people_can_fill_all_seats(
    needs: list[ApprovalNeed], decisions: list[Decision]
) -> None:
    seats = [need for need in needs for _ in range(need.count)]
    people = [one for one in decisions if one.verdict == "approve" and one.principal != "requester"]
    possible = any(
        all(set(seat.any_of_roles) & set(one.roles) for seat, one in zip(seats, order, strict=True))
        for order in permutations(people, len(seats))
    )
    assert (satisfied(needs, decisions) == []) == possible


@given(NEEDS, DECISIONS)
def test_another_approval_never_opens_a_need(needs: list[ApprovalNeed], decisions: list[Decision]) -> None:
    before = satisfied(needs, decisions)
    after = satisfied(needs, [*decisions, approve("new", *ROLES)])
    assert set(rules_of(after)) <= set(rules_of(before))


ALWAYS = "{id: a, description: d, always: true, any_of_roles: [Approver]}"
OTHERS = '{id: b, description: d, findings: ["*"], any_of_teams: [security]}'


def test_a_rule_may_be_for_an_environment(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    prod = "{id: c, description: d, environments: [prod], any_of_roles: [Approver], count: 2}"
    path.write_text(f"rules: [{ALWAYS}, {OTHERS}, {prod}]", encoding="utf-8")
    assert rules_of(needed([], ["dev", "qa"], "rita", path)) == ["a"]
    assert rules_of(needed([], ["dev", "prod"], "rita", path)) == ["a", "c"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("rules: []", "must apply always"),
        (f"rules: [{ALWAYS}]", "every other finding"),
        (f"rules: [{OTHERS}]", "must apply always"),
        (f"rules: [{ALWAYS}, {ALWAYS}, {OTHERS}]", "the same id"),
        (f"rules: [{ALWAYS}, {OTHERS}, {OTHERS.replace('id: b', 'id: c')}]", "every other finding"),
        (f"rules: [{ALWAYS.replace('Approver', 'King')}, {OTHERS}]", "Approver"),
        (f"rules: [{ALWAYS.replace('any_of_roles: [Approver]', 'count: 1')}, {OTHERS}]", "nobody can answer"),
        (f"rules: [{ALWAYS.replace('always: true, ', '')}, {OTHERS}]", "never applies"),
        ("[", "not YAML"),
        ("", "rules.yaml"),
    ],
)
def test_wrong_rules_are_named(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=named):
        needed([], [], "rita", path)


def test_the_rules_of_this_repository_are_valid() -> None:
    assert FILE.is_file()
    assert needed([], [], "rita")
