from typing import Any

import pytest

from local.vendors.actions.expressions import ExpressionError, Scope
from local.vendors.actions.workflows import inputs_of, is_triggered, load, matrix_of

CONTEXTS = {
    "github": {"ref": "refs/heads/main", "event": {"commits": [{"id": "a"}, {"id": "b"}]}},
    "inputs": {"name": "O'Neil", "flag": False, "number": "3"},
    "needs": {},
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("github.ref == 'REFS/HEADS/MAIN'", True),
        ("inputs.name", "O'Neil"),
        ("'it''s'", "it's"),
        ("inputs.missing || 'default'", "default"),
        ("inputs.flag && 'a' || 'b'", "b"),
        ("!inputs.flag && inputs.number > 2", True),
        ("inputs['number'] == 3", True),
        ("github.event.commits[1].id", "b"),
        ("join(github.event.commits.*.id, '+')", "a+b"),
        ("contains(fromJSON('[\"x\", \"y\"]'), 'Y')", True),
        ("startsWith(github.ref, 'refs/') && endsWith(github.ref, 'main')", True),
        ("format('{0}-{1} {{}}', 'a', 2)", "a-2 {}"),
        ("null == 0", True),
        ("'' == false", True),
        ("(1 < 2) == true", True),
        ("1.5 >= 0x1", True),
        ("needs.build.outputs.digest", None),
    ],
)
def test_value(expression: str, value: Any) -> None:
    assert Scope(CONTEXTS).evaluate(expression) == value


@pytest.mark.parametrize("wrong", ["unknown.x", "nofunction(1)", "a b", "(1", "1 ==", "'open"])
def test_wrong_expression_is_refused(wrong: str) -> None:
    with pytest.raises(ExpressionError):
        Scope(CONTEXTS | {"a": 1, "b": 2}).evaluate(wrong)


def test_fill_keeps_the_type_of_a_whole_expression_and_never_evaluates_a_value_twice() -> None:
    scope = Scope({"inputs": {"a": "${{ github.token }}", "flag": True}})
    assert scope.fill("${{ inputs.flag }}") is True
    assert scope.fill({"x": ["flag=${{ inputs.flag }}", "${{ inputs.a }}"]}) == {
        "x": ["flag=true", "${{ github.token }}"]
    }


def test_condition_demands_success_unless_it_checks_the_status_itself() -> None:
    failed = Scope({"inputs": {}}, {"success": lambda: False, "failure": lambda: True, "always": lambda: True})
    assert not failed.condition(None)
    assert not failed.condition("true")
    assert failed.condition("${{ failure() }}")
    assert failed.condition("always() && 1 == 1")


def test_on_is_a_word_and_needs_are_checked() -> None:
    workflow = load(b"on: push\njobs: {a: {steps: []}, b: {needs: a, steps: []}}")
    assert workflow["on"] == {"push": {}}
    assert workflow["jobs"]["b"]["needs"] == ["a"]
    for wrong in (b"on: push", b"on: push\njobs: {a: {needs: z, steps: []}}", b": : :", b"- 1"):
        with pytest.raises(ValueError, match="Invalid workflow file"):
            load(wrong)


def test_branch_and_path_filters() -> None:
    workflow = load(b"on: {push: {branches: [main, 'release/**'], paths: ['src/**', '!src/*.md']}}\njobs: {}")
    assert is_triggered(workflow, "push", "main", ["src/a.py"])
    assert is_triggered(workflow, "push", "release/1/2", ["src/x/a.md"])
    assert not is_triggered(workflow, "push", "main", ["src/a.md", "docs/x"])
    assert not is_triggered(workflow, "push", "feature", ["src/a.py"])
    assert not is_triggered(workflow, "pull_request", "main", ["src/a.py"])


def test_inputs_have_types_and_defaults() -> None:
    declared = "inputs: {a: {required: true}, b: {type: boolean}, c: {type: choice, options: [x, y], default: y}}"
    workflow = load(f"on: {{workflow_dispatch: {{{declared}}}}}\njobs: {{}}".encode())
    assert inputs_of(workflow, {"a": "1", "b": "true"}) == {"a": "1", "b": True, "c": "y"}
    for wrong, why in (
        ({}, "'a' not provided"),
        ({"a": "1", "z": "1"}, "Unexpected"),
        ({"a": "1", "c": "z"}, "allowed"),
    ):
        with pytest.raises(ValueError, match=why):
            inputs_of(workflow, wrong)


def test_matrix_with_include_and_exclude() -> None:
    matrix = {"os": ["a", "b"], "v": [1, 2], "exclude": [{"os": "b", "v": 1}], "include": [{"os": "c", "v": 9}]}
    combinations = matrix_of({"strategy": {"matrix": matrix}})
    assert combinations == [{"os": "a", "v": 1}, {"os": "a", "v": 2}, {"os": "b", "v": 2}, {"os": "c", "v": 9}]
    assert matrix_of({}) == [{}]
