"""The rules and their counting, against an oracle that tries every assignment of people to approvals."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import combinations, permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.approval_rules import FOLDER, Facts, needed, read
from shared.approvals import ApprovalNeed, Approvers, Decision, satisfied
from shared.errors import ConfigurationError
from tests.unit.rego_cases import CASES

ROLES = ["Approver", "FinOps", "Admin"]
TEAMS = ["security", "platform"]
PEOPLE = ["requester", "ann", "ben", "cy", "dee"]


def facts(*findings: str, **changes: Any) -> Facts:
    usual = {"archetype": "api", "classification": "internal", "criticality": "high", "monthly": Decimal(100)}
    return Facts(**{**usual, "environments": frozenset({"dev"}), "findings": frozenset(findings), **changes})


def approve(principal: str, *roles: str, teams: tuple[str, ...] = (), **more: Any) -> Decision:
    return Decision(principal=principal, verdict="approve", roles=roles, teams=teams, **more)


def rules_of(needs: list[ApprovalNeed]) -> list[str]:
    return [need.rule for need in needs]


# -- the rules of this repository ------------------------------------------------------------------------------------


def test_every_plan_needs_one_approver_who_is_not_the_requester() -> None:
    (need,) = needed(facts(), "rita")
    assert (need.rule, need.any_of_roles, need.count, need.decided_in) == ("platform", ("Approver",), 1, "appstore")
    assert satisfied([need], []) == [need]
    assert satisfied([need], [approve("rita", "Approver")]) == [need]
    assert satisfied([need], [approve("adam", "FinOps")]) == [need]
    assert satisfied([need], [approve("adam", "Approver")]) == []


@pytest.mark.parametrize(
    ("asked", "rules"),
    [
        (facts("PLN-012"), ["platform", "finops"]),
        (facts("REQ-010"), ["platform", "security"]),
        (facts("PLN-007", "PLN-012"), ["platform", "finops", "security"]),
        (facts("NEW-001"), ["platform", "security"]),
        (facts(environments=frozenset({"prod"})), ["platform"]),
        (facts(classification="restricted"), ["platform"]),
        (facts(environments=frozenset({"dev", "prod"}), classification="restricted"), ["platform", "change-board"]),
    ],
)
def test_what_a_plan_is_adds_its_approvals(asked: Facts, rules: list[str]) -> None:
    assert rules_of(needed(asked, "rita")) == rules


def test_no_finding_of_the_policies_goes_unapproved() -> None:
    for finding in {finding for case in CASES for finding in case.require_approval}:
        assert any(finding in need.findings for need in needed(facts(finding), "rita"))


def test_the_rules_of_this_repository_are_valid() -> None:
    assert [rule.id for rule in read(FOLDER)] == [
        "platform",
        "finops",
        "security",
        "change-board",
        "production-release",
    ]


# -- counting --------------------------------------------------------------------------------------------------------


def test_one_person_counts_for_one_need() -> None:
    needs = needed(facts("PLN-012"), "rita")
    fred = approve("fred", "Approver", "FinOps")
    assert rules_of(satisfied(needs, [fred])) == ["finops"]
    assert satisfied(needs, [fred, approve("adam", "Approver")]) == []


def test_the_same_person_twice_is_one_person() -> None:
    need = ApprovalNeed(rule="two", any_of_roles=("Approver",), count=2)
    assert satisfied([need], [approve("adam", "Approver"), approve("adam", "Approver")]) == [need]
    assert satisfied([need], [approve("adam", "Approver"), approve("eve", "Approver")]) == []


def test_a_team_may_answer_instead_of_a_role() -> None:
    (_, security) = needed(facts("REQ-010"), "rita")
    assert satisfied([security], [approve("sam", teams=("security",))]) == []
    assert satisfied([security], [approve("sam", teams=("payments",))]) == [security]


def test_all_of_has_one_of_each_group() -> None:
    need = ApprovalNeed(rule="both", all_of=(Approvers(roles=("Admin",)), Approvers(teams=("security",))))
    both = approve("ada", "Admin", teams=("security",))
    assert satisfied([need], [both]) == [need]
    assert satisfied([need], [both, approve("ann", "Admin")]) == []
    assert satisfied([need], [approve("ann", "Admin"), approve("ben", "Admin")]) == [need]


def test_what_servicenow_decides_is_met_there_only() -> None:
    need = ApprovalNeed(rule="board", decided_in="servicenow", not_by=("rita",))
    assert satisfied([need], [approve("ann", *ROLES)]) == [need]
    assert satisfied([need], [approve("servicenow:ann", decided_in="servicenow")]) == []
    assert satisfied([need], [approve("rita", decided_in="servicenow")]) == [need]


def test_an_escalated_need_may_be_met_by_more_people() -> None:
    need = ApprovalNeed(rule="one", any_of_roles=("Approver",), escalate_to=Approvers(roles=("Admin",)), not_by=("r",))
    root = approve("root", "Admin")
    assert satisfied([need], [root]) == [need]
    assert satisfied([need], [root], escalated=True) == []
    assert satisfied([need], [approve("r", "Admin")], escalated=True) == [need]


def test_delegator_and_delegate_are_one_person() -> None:
    two = ApprovalNeed(rule="two", any_of_roles=("Approver",), count=2, not_by=("rita",))
    ann, for_ann = approve("ann", "Approver"), approve("ben", "Approver", on_behalf_of="ann")
    assert satisfied([two], [ann, for_ann]) == [two]
    assert satisfied([two], [for_ann, approve("cy", "Approver", on_behalf_of="ann")]) == [two]
    assert satisfied([two], [for_ann, approve("cy", "Approver", on_behalf_of="ben")]) == [two]
    assert satisfied([two], [for_ann, approve("cy", "Approver")]) == []


def test_the_requesters_authority_counts_in_nobodys_hands() -> None:
    (need,) = needed(facts(), "rita")
    assert satisfied([need], [approve("ben", "Approver", on_behalf_of="rita")]) == [need]
    assert satisfied([need], [approve("rita", "Approver", on_behalf_of="ann")]) == [need]


def test_who_rejected_is_no_approver() -> None:
    needs = needed(facts(), "rita")
    no = Decision(principal="adam", verdict="reject", roles=("Approver",))
    assert satisfied(needs, [no]) == needs
    assert satisfied(needs, [approve("adam", "Approver"), no]) == needs


# -- random rules, plans and decisions against the oracle ------------------------------------------------------------

GROUPS = st.builds(
    lambda roles, teams: {"roles": sorted(roles), "teams": sorted(teams)} if roles or teams else {"roles": ["Admin"]},
    st.sets(st.sampled_from(ROLES), max_size=2),
    st.sets(st.sampled_from(TEAMS), max_size=1),
)
ANSWERS = st.one_of(
    st.fixed_dictionaries({"any_of": GROUPS, "count": st.integers(1, 2)}, optional={"escalate_to": GROUPS}),
    st.fixed_dictionaries({"all_of": st.lists(GROUPS, min_size=1, max_size=2)}, optional={"escalate_to": GROUPS}),
    st.fixed_dictionaries({"decided_in": st.just("servicenow"), "count": st.integers(1, 2)}),
)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "archetypes": st.just(["api"]),
        "environments": st.lists(st.sampled_from(["dev", "qa", "prod"]), min_size=1, max_size=2, unique=True),
        "classifications": st.lists(st.sampled_from(["internal", "restricted"]), min_size=1, max_size=1),
        "criticalities": st.lists(st.sampled_from(["low", "high"]), min_size=1, max_size=1),
        "monthly_above": st.sampled_from([50, 100, 500]),
        "destructive": st.just(True),
        "findings": st.lists(st.sampled_from(["PLN-007", "PLN-012"]), min_size=1, max_size=2, unique=True),
    },
).filter(bool)
RULES = st.builds(
    lambda always, others, extra: [
        {"id": f"r{number}", "description": "d", "when": when, **answer}
        for number, (when, answer) in enumerate([({"always": True}, always), ({"findings": ["*"]}, others), *extra])
    ],
    ANSWERS,
    ANSWERS,
    st.lists(st.tuples(CONDITIONS, ANSWERS), max_size=2),
)
PLANS = st.builds(
    Facts,
    archetype=st.sampled_from(["api", "spa"]),
    environments=st.frozensets(st.sampled_from(["dev", "qa", "prod"]), min_size=1),
    classification=st.sampled_from(["internal", "restricted"]),
    criticality=st.sampled_from(["low", "high"]),
    monthly=st.sampled_from([Decimal(50), Decimal(100), Decimal("100.01"), Decimal(600)]),
    destructive=st.booleans(),
    findings=st.frozensets(st.sampled_from(["PLN-007", "PLN-012", "REQ-010"])),
)
DECISIONS = st.lists(
    st.builds(
        Decision,
        principal=st.sampled_from(PEOPLE),
        verdict=st.sampled_from(["approve", "approve", "approve", "reject"]),
        roles=st.sets(st.sampled_from(ROLES)).map(tuple),
        teams=st.sets(st.sampled_from(TEAMS)).map(tuple),
        on_behalf_of=st.sampled_from([None, None, None, *PEOPLE]),
        decided_in=st.sampled_from(["appstore", "appstore", "servicenow"]),
    ),
    max_size=5,
    unique_by=lambda decision: decision.principal,
)


def _applies(when: dict[str, Any], plan: Facts, left: set[str]) -> bool:
    """A rule's conditions once more, in other words; ``left`` has the findings that no other applying rule names."""
    fits: dict[str, Callable[[Any], bool]] = {
        "always": lambda _value: True,
        "archetypes": lambda value: plan.archetype in value,
        "environments": lambda value: any(one in plan.environments for one in value),
        "classifications": lambda value: plan.classification in value,
        "criticalities": lambda value: plan.criticality in value,
        "monthly_above": lambda value: plan.monthly > value,
        "destructive": lambda _value: plan.destructive,
        "findings": lambda value: bool(left if value == ["*"] else plan.findings & set(value)),
    }
    return all(fits[name](value) for name, value in when.items())


def _seats(rule: dict[str, Any], *, escalated: bool) -> list[set[str] | None]:
    """One set of roles and teams for each approval that the rule asks for; None: anybody, in ServiceNow."""
    if rule.get("decided_in") == "servicenow":
        return [None] * rule["count"]
    wider = rule.get("escalate_to", {}) if escalated else {}
    groups = rule.get("all_of") or [rule["any_of"]] * rule["count"]
    return [
        {*g.get("roles", []), *g.get("teams", []), *wider.get("roles", []), *wider.get("teams", [])} for g in groups
    ]


def _same(decisions: list[Decision]) -> set[frozenset[str]]:
    """Pairs of names that are one person: the relation is composed with itself until nothing is new."""
    pairs = {frozenset({one.principal, one.on_behalf_of or one.principal}) for one in decisions}
    pairs |= {frozenset({one.principal}) for one in decisions}  # and everybody is the same as oneself
    while True:
        more = pairs | {frozenset({a, b}) for x, y in combinations(pairs, 2) if x & y for a in x for b in y}
        if more == pairs:
            return pairs
        pairs = more


def _assignments(seats: list[set[str] | None], decisions: list[Decision]) -> Iterator[tuple[Decision, ...]]:
    """Every way to give each seat a decision that fits it, all by different people."""
    same = _same(decisions)
    rejecting = {one.principal for one in decisions if one.verdict == "reject"}
    fit = [
        one
        for one in decisions
        if not any(frozenset({one.principal, other}) in same for other in rejecting)
        and "requester" not in (one.principal, one.on_behalf_of)
    ]
    for chosen in permutations(fit, len(seats)):
        apart = not any(frozenset({a.principal, b.principal}) in same for a, b in combinations(chosen, 2))
        fits = all(
            one.decided_in == ("servicenow" if seat is None else "appstore")
            and (seat is None or bool(seat & {*one.roles, *one.teams}))
            for seat, one in zip(seats, chosen, strict=True)
        )
        if apart and fits:
            yield chosen


@settings(deadline=None)  # it writes a file and reads the catalogue: how long that takes is not the question
@given(RULES, PLANS, DECISIONS, st.booleans())
def test_rules_plans_and_decisions_agree_with_the_oracle(
    rules: list[dict[str, Any]], plan: Facts, decisions: list[Decision], escalated: bool
) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(yaml.safe_dump({"rules": rules}), encoding="utf-8")
        needs = needed(plan, "requester", Path(folder))
    others = [rule for rule in rules if rule["when"] != {"findings": ["*"]} and _applies(rule["when"], plan, set())]
    left = set(plan.findings) - {finding for rule in others for finding in rule["when"].get("findings", [])}
    wanted = [rule for rule in rules if _applies(rule["when"], plan, left)]
    assert rules_of(needs) == [rule["id"] for rule in wanted]
    assert {finding for need in needs for finding in need.findings} == plan.findings
    seats = [seat for rule in wanted for seat in _seats(rule, escalated=escalated)]
    possible = next(_assignments(seats, decisions), None) is not None
    lacking = satisfied(needs, decisions, escalated=escalated)
    assert (lacking == []) == possible
    assert rules_of(satisfied(needs, decisions[::-1], escalated=escalated)) == rules_of(lacking)
    more = [*decisions, approve("new", *ROLES), approve("newer", decided_in="servicenow")]
    assert set(rules_of(satisfied(needs, more, escalated=escalated))) <= set(rules_of(lacking))


# -- rules that are wrong --------------------------------------------------------------------------------------------

ALWAYS = "{id: a, description: d, when: {always: true}, any_of: {roles: [Approver]}}"
OTHERS = '{id: b, description: d, when: {findings: ["*"]}, any_of: {teams: [security]}}'


def _third(when: str, answer: str = "any_of: {roles: [Admin]}") -> str:
    return f"rules: [{ALWAYS}, {OTHERS}, {{id: c, description: d, when: {{{when}}}, {answer}}}]"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("rules: []", "rules.yaml: rules"),
        (f"rules: [{OTHERS}]", "must apply always"),
        (f"rules: [{ALWAYS}]", "every other finding"),
        (f"rules: [{ALWAYS}, {ALWAYS}, {OTHERS}]", "the same id"),
        (f"rules: [{ALWAYS}, {OTHERS}, {OTHERS.replace('id: b', 'id: c')}]", "every other finding"),
        (f"rules: [{ALWAYS.replace('Approver', 'Operator')}, {OTHERS}]", r"rules\.0\.any_of\.roles\.0"),
        (f"rules: [{ALWAYS.replace('roles: [Approver]', 'roles: []')}, {OTHERS}]", r"rules\.0\.any_of: .*nobody"),
        (_third(""), r"rules\.2\.when: .*never applies"),
        (_third("environments: [moon]"), r"rules\.2\.when\.environments\.0"),
        (_third("classifications: [secret]"), r"rules\.2\.when\.classifications\.0"),
        (_third("monthly_above: -1"), r"rules\.2\.when\.monthly_above"),
        (_third("moon: full"), r"rules\.2\.when\.moon"),
        (_third("always: true, environments: [dev]"), "no other condition"),
        (_third('findings: ["*", PLN-012]'), "stands alone"),
        (_third("archetypes: [rocket]"), r"c\.when\.archetypes: there is no rocket"),
        (_third("findings: [PLN-999]"), r"c\.when\.findings: there is no PLN-999"),
        (_third("destructive: true", "any_of: {teams: [moon]}"), r"c\.any_of\.teams: there is no moon"),
        (_third("destructive: true", "all_of: [{teams: [moon]}]"), r"c\.all_of\.0\.teams: there is no moon"),
        (_third("destructive: true", "count: 1"), "either any_of or all_of"),
        (_third("destructive: true", "all_of: [{roles: [Admin]}], count: 2"), "count goes with any_of"),
        (_third("destructive: true", "any_of: {roles: [Admin]}, count: 6"), r"rules\.2\.count"),
        (_third("destructive: true", "any_of: {roles: [Admin]}, decided_in: servicenow"), "its own rules name"),
        (_third("destructive: true", "any_of: {roles: [Admin]}, decided_in: jira"), r"rules\.2\.decided_in"),
        ("[", "not YAML"),
        ("", "rules.yaml"),
    ],
)
def test_wrong_rules_are_named(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "rules.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=named):
        needed(facts(), "rita", tmp_path)


def test_all_files_of_the_folder_count_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "20.yaml").write_text(f"rules: [{ALWAYS}]", encoding="utf-8")
    (tmp_path / "10.yaml").write_text(f"rules: [{OTHERS}]", encoding="utf-8")
    assert rules_of(needed(facts("REQ-010"), "rita", tmp_path)) == ["b", "a"]
    (tmp_path / "30.yaml").write_text(f"rules: [{ALWAYS}]", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="the same id"):
        needed(facts(), "rita", tmp_path)
