"""The rules themselves, in both engines: the table of cases, the rules' own tests, and that both decide alike."""

import json
import re
from typing import Any

import pytest

from tests.unit.rego_cases import CASES, PLAN_CASES, REQUEST_CASES, Case, plan_input, request_input
from tests.unit.rego_engines import CONFIG, ENGINES, MODULES, Ask, embedded, engine_named, needs_opa, opa, opa_engine

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


@needs_opa
def test_both_engines_decide_alike_whatever_is_left_out_or_of_another_kind() -> None:
    one, other = embedded(), opa()
    for package, good in (("appstore.request", request_input()), ("appstore.plan", small_plan())):
        for document in mutations(good):
            rule = f"{package}.decision"
            assert ordered(one(rule, document)) == ordered(other(rule, document)), document


@pytest.mark.parametrize(("package", "good"), [("appstore.request", request_input()), ("appstore.plan", small_plan())])
def test_nothing_that_is_left_out_or_of_another_kind_breaks_the_rules(package: str, good: dict[str, Any]) -> None:
    engine = embedded()
    for document in mutations(good):
        assert set(engine(f"{package}.decision", document)) == {"deny", "require_approval", "warn"}


@pytest.mark.parametrize("rule", sorted(set(re.findall(r"(?:REQ|PLN)-0[0-8]\d", "".join(DECIDING.values())))))
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


def test_exceptions_in_force_name_owner_reason_and_last_day() -> None:
    for exception in json.loads(CONFIG)["config"]["exceptions"]:
        assert set(exception) == {"rule", "application", "environment", "owner", "reason", "expires"}, exception
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", exception["expires"]), exception


@needs_opa
def test_the_cases_run_through_nearly_every_line_of_the_rules() -> None:
    engine = opa_engine()
    covered: dict[str, set[int]] = {name: set() for name in DECIDING}
    missed: dict[str, set[int]] = {name: set() for name in DECIDING}
    rules = [(f"{case.package}.decision", case.document) for case in REQUEST_CASES + PLAN_CASES]
    for rule, document in [*rules, *((rule, {}) for rule in OWN_TESTS)]:
        engine.eval_document(rule, document, coverage=True)
        for name in DECIDING:
            lines = engine.last_coverage["files"].get(name, {})
            covered[name] |= rows(lines.get("covered"))
            missed[name] |= rows(lines.get("not_covered"))
    open_lines = {name: sorted(missed[name] - covered[name]) for name in DECIDING}
    total = sum(len(lines) for lines in covered.values())
    assert total > 100
    assert sum(len(lines) for lines in open_lines.values()) <= total * 0.05, open_lines


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
