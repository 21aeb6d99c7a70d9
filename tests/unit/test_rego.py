"""The rules themselves, in both engines: the table of cases, the rules' own tests, and that both decide alike."""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import rule_catalogue
from shared.rule_set import RULES
from tests.unit.rego_cases import CASES as REQUESTS_AND_PLANS
from tests.unit.rego_cases import Case, plan_input, request_input
from tests.unit.rego_engines import ENGINES, HAS_OPA, MODULES, Ask, embedded, engine_named, needs_opa, opa, opa_engine
from tests.unit.rego_promotion import PROMOTION_CASES, check, deployment, promotion_input

CASES = [*REQUESTS_AND_PLANS, *PROMOTION_CASES]
PACKAGES = ("request", "plan", "promotion")
CATALOGUE = rule_catalogue.parse((RULES / rule_catalogue.FILE).read_text(encoding="utf-8"))

OWN_TESTS = [
    f"{package[1]}.{rule}"
    for name, text in MODULES.items()
    if name.endswith("_test.rego") and (package := re.search(r"^package (\S+)$", text, re.MULTILINE))
    for rule in re.findall(r"^(test_\w+) if", text, re.MULTILINE)
]
DECIDING = {name: text for name, text in MODULES.items() if not name.endswith("_test.rego")}


def small_plan() -> dict[str, Any]:
    """A plan of the resources that most rules look at: the mutations of all of them would take long."""
    document = plan_input("prod")
    document["changeSet"]["changes"] = document["changeSet"]["changes"][1:5]
    document["changeSet"]["summary"] = {"create": 4, "update": 0, "replace": 0, "delete": 0, "noop": 0}
    return document


@pytest.fixture(scope="module", params=ENGINES)
def ask(request: pytest.FixtureRequest) -> Ask:
    return engine_named(request.param)


def ids(findings: list[dict[str, str]]) -> set[str]:
    return {finding["id"] for finding in findings}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.package}: {case.name}")
def test_the_rules_find(ask: Ask, case: Case) -> None:
    decision = ask(f"{case.package}.decision", case.document)
    found = {kind: ids(findings) for kind, findings in decision.items()}
    assert found == {"deny": case.deny, "require_approval": case.require_approval, "warn": case.warn}


@pytest.mark.parametrize("rule", OWN_TESTS)
def test_the_tests_of_the_rules_hold(ask: Ask, rule: str) -> None:
    assert ask(rule, {}) is True


def test_the_tests_of_the_rules_are_found() -> None:
    assert len(OWN_TESTS) > 15


GOOD = {"request": request_input(), "plan": small_plan(), "promotion": promotion_input()}


@needs_opa
@pytest.mark.parametrize("package", PACKAGES)
def test_both_engines_give_the_same_decision_on_every_case(package: str) -> None:
    one, other = embedded(), opa()
    cases = [case for case in CASES if case.package == f"appstore.{package}"]
    assert len(cases) > 40
    for case in cases:
        rule = f"{case.package}.decision"
        assert ordered(one(rule, case.document)) == ordered(other(rule, case.document)), case.name


@pytest.mark.parametrize("package", PACKAGES)
def test_both_engines_decide_alike_whatever_is_left_out_or_of_another_kind(package: str) -> None:
    """Where there is no OPA: the embedded engine gives a complete verdict at least."""
    one, other, rule = embedded(), opa() if HAS_OPA else None, f"appstore.{package}.decision"
    for document in mutations(GOOD[package]):
        decision = one(rule, document)
        assert set(decision) == {"deny", "require_approval", "warn"}, document
        if other:
            assert ordered(decision) == ordered(other(rule, document)), document


# Values that the rules compare with, and values next to them.
WORDS = st.sampled_from(
    [
        "",
        "dev",
        "qa",
        "prod",
        "*",
        "legacy",
        "legacy-shop",
        "high",
        "low",
        "restricted",
        "confidential",
        "westeurope",
        "eastus",
        "open",
        "critical",
        "success",
        "inactive",
        "completed",
        "delete",
        "replace",
        "noop",
        "100.00",
        "1e3",
        "CC-1",
        "2026-11-25",
        "2026-02-30",
        "2026-11-25T08:00:00Z",
        "2026-12-01T23:59:59.999Z",
        "9999-12-31T00:00:00Z",
    ]
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 40),
    st.floats(0, 1000, width=16),
    WORDS,
    st.text(max_size=4),
    st.lists(WORDS, max_size=3),
    st.dictionaries(WORDS, WORDS, max_size=2),
    st.sampled_from([[check("Test")], [deployment("qa", since="2026-11-25T08:00:00Z")], small_plan()["changeSet"]]),
)


@st.composite
def questions(draw: st.DrawFn, package: str) -> dict[str, Any]:
    """A case with several of its values changed, removed, added or repeated."""
    cases = [case for case in CASES if case.package == f"appstore.{package}"]
    document: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(cases)).document))
    for _ in range(draw(st.integers(1, 6))):
        place: Any = document
        while isinstance(place, dict | list) and place:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = draw(st.sampled_from(keys))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and draw(st.integers(0, 3)):
                place = inner
                continue
            change = draw(st.sampled_from(("set", "set", "remove", "repeat")))
            if change == "remove":
                del place[key]
            elif change == "repeat" and isinstance(place, list):
                place.append(json.loads(json.dumps(inner)))
            else:
                place[key] = json.loads(json.dumps(draw(VALUES)))
            break
    return document


def compare(package: str, examples: int) -> None:
    one, other, rule = embedded(), opa(), f"appstore.{package}.decision"

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(questions(package))
    def alike(document: dict[str, Any]) -> None:
        assert ordered(one(rule, document)) == ordered(other(rule, document))

    alike()


@needs_opa
@pytest.mark.parametrize("package", PACKAGES)
def test_both_engines_decide_alike_on_generated_questions(package: str) -> None:
    compare(package, 60)


@needs_opa
@pytest.mark.long
@pytest.mark.parametrize("package", PACKAGES)
def test_both_engines_decide_alike_on_many_generated_questions(package: str) -> None:
    compare(package, 5000)


@pytest.mark.parametrize("rule", sorted(set(re.findall(r"(?:REQ|PLN|PRM)-0[0-8]\d", "".join(DECIDING.values())))))
def test_every_rule_has_a_case_that_it_finds(rule: str) -> None:
    assert any(rule in case.deny | case.require_approval | case.warn for case in CASES)


def test_messages_are_sentences_and_paths_are_pointers() -> None:
    engine = embedded()
    for case in CASES:
        for findings in engine(f"{case.package}.decision", case.document).values():
            for finding in findings:
                assert re.match(r"^\S.*[^.]\.$", finding["message"], re.DOTALL), finding
                assert finding["path"] == "" or finding["path"].startswith("/"), finding


def test_the_rules_use_what_both_engines_know() -> None:
    for name, text in MODULES.items():
        assert "import rego.v1" in text, name
        assert "%q" not in text, name


def test_every_rule_is_in_the_catalogue_with_its_package_and_outcome() -> None:
    for package in PACKAGES:
        prefix = {"request": "REQ", "plan": "PLN", "promotion": "PRM"}[package]
        named = set(re.findall(rf"\b{prefix}-(?!09)\d{{3}}\b", DECIDING[f"{package}.rego"]))
        listed = {name for name, rule in CATALOGUE.items() if rule.package == package}
        assert listed == named | {f"{prefix}-090", f"{prefix}-091", f"{prefix}-092"}
    found = {
        (kind, finding["id"], f"appstore.{CATALOGUE[finding['id']].package}" == case.package)
        for case, decision in decisions()
        for kind, findings in decision.items()
        for finding in findings
    }
    assert {kind for kind, name, _ in found if CATALOGUE[name].outcome != kind} == set()
    assert all(same for _, _, same in found)
    assert {name for _, name, _ in found} == set(CATALOGUE) - {"POL-000", "PRM-091", "PRM-092", "PLN-091"}


def decisions() -> list[tuple[Case, dict[str, list[dict[str, str]]]]]:
    engine = embedded()
    return [(case, engine(f"{case.package}.decision", case.document)) for case in CASES]


@needs_opa
def test_the_cases_run_through_nearly_every_line_of_every_package() -> None:
    """`opa test --coverage --threshold 95` for each file; all cases of a package in one evaluation."""
    batch = "package batch\n\nimport rego.v1\n\n"
    for package in PACKAGES:
        batch += (
            f"{package} := [d | some document in input; d := data.appstore.{package}.decision with input as document]\n"
        )
    engine = opa_engine({**MODULES, "batch.rego": batch})
    covered: dict[str, set[int]] = {name: set() for name in DECIDING}
    missed: dict[str, set[int]] = {name: set() for name in DECIDING}
    questions: dict[str, list[dict[str, Any]]] = {rule: [] for rule in OWN_TESTS}
    questions |= {
        f"batch.{package}": [case.document for case in CASES if case.package == f"appstore.{package}"]
        for package in PACKAGES
    }
    for rule, documents in questions.items():
        engine.eval_document(rule, documents, coverage=True)
        for name in DECIDING:
            lines = engine.last_coverage["files"].get(name, {})
            covered[name] |= rows(lines.get("covered"))
            missed[name] |= rows(lines.get("not_covered"))
    share = {name: len(covered[name]) / len(covered[name] | missed[name]) for name in DECIDING}
    open_lines = {name: sorted(missed[name] - covered[name]) for name in DECIDING}
    assert set(share) == {"common.rego", "request.rego", "plan.rego", "promotion.rego"}
    assert min(share.values()) >= 0.95, (share, open_lines)


@needs_opa
def test_a_line_that_nothing_runs_through_lowers_the_coverage() -> None:
    engine = opa_engine()
    engine.eval_document("appstore.promotion.decision", {}, coverage=True)
    lines = engine.last_coverage["files"]["promotion.rego"]
    assert len(rows(lines["not_covered"])) > 5


def rows(ranges: list[dict[str, dict[str, int]]] | None) -> set[int]:
    return {row for span in ranges or [] for row in range(span["start"]["row"], span["end"]["row"] + 1)}


def ordered(decision: dict[str, list[dict[str, str]]]) -> dict[str, list[str]]:
    return {kind: sorted(json.dumps(finding, sort_keys=True) for finding in found) for kind, found in decision.items()}


def mutations(document: Any) -> list[Any]:
    """The document with each of its values removed or replaced by one of another kind, one at a time."""
    strange: list[Any] = [None, -1.5, "x", [], {"x": 1}, True]
    if isinstance(document, dict):
        without = [{key: value for key, value in document.items() if key != left_out} for left_out in document]
        return without + [
            {**document, key: new} for key, old in document.items() for new in [*strange, *mutations(old)]
        ]
    if isinstance(document, list):
        return [
            [*document[:place], new, *document[place + 1 :]]
            for place, old in enumerate(document)
            for new in [*strange, *mutations(old)]
        ]
    return []
