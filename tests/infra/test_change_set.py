"""What a change set shows, and what it does not."""

from typing import Any

import pytest

from infra.iac_runner.changeset import MASK, canonical, change_set
from infra.iac_runner.problems import RunError, scrub

CANARY = "canary-8c1f6e0d"


def plan_with(**change: Any) -> dict[str, Any]:
    whole = {"actions": ["update"], "before": None, "after": None, **change}
    entry = {"address": "azurerm_key_vault.this", "type": "azurerm_key_vault", "change": whole}
    return {"terraform_version": "1.15.5", "resource_changes": [entry], "complete": True, "errored": False}


@pytest.mark.parametrize(
    ("after", "marks", "shown"),
    [
        ({"key": CANARY, "name": "kv"}, {"key": True}, {"key": MASK, "name": "kv"}),
        (
            {"rules": [{"key": CANARY}, {"key": "x"}]},
            {"rules": [{"key": True}]},
            {"rules": [{"key": MASK}, {"key": "x"}]},
        ),
        ({"rules": [CANARY]}, {"rules": True}, {"rules": MASK}),
        ({"rules": [CANARY]}, {"rules": {"0": True}}, {"rules": MASK}),
        ({"key": None}, {"key": True}, {"key": None}),
        ({"size": 3}, {"size": True}, {"size": MASK}),
        ({"key": CANARY}, True, MASK),
        ({"key": CANARY, "copy": f"host={CANARY};"}, {"key": True}, {"key": MASK, "copy": MASK}),
        ({"key": "on", "copy": "on", "word": "long"}, {"key": True}, {"key": MASK, "copy": MASK, "word": "long"}),
    ],
)
def test_marked_values_are_masked_wherever_they_stand(after: Any, marks: Any, shown: Any) -> None:
    change = change_set(plan_with(after=after, after_sensitive=marks))["changes"][0]
    assert change["after"] == shown


def test_a_value_marked_in_one_place_is_masked_in_all() -> None:
    plan = plan_with(
        before={"output": CANARY}, before_sensitive={}, after={"input": CANARY}, after_sensitive={"input": True}
    )
    plan["resource_drift"] = [
        {
            "address": "a.b",
            "type": "a",
            "change": {"actions": ["update"], "before": {"x": CANARY}, "after": {"x": CANARY}},
        }
    ]
    plan["output_changes"] = {"leak": {"actions": ["create"], "before": None, "after": f"https://{CANARY}@host"}}
    plan["variables"] = {"token": {"value": {"deep": ["another-secret"]}}}
    plan["configuration"] = {"root_module": {"variables": {"token": {"sensitive": True}}}}
    plan["resource_changes"][0]["change"]["after"]["tag"] = "with another-secret inside"
    plan["prior_state"] = plan["planned_values"] = {"values": CANARY}
    text = canonical(change_set(plan)).decode()
    assert CANARY not in text
    assert "another-secret" not in text


def test_words_of_the_format_are_never_masked() -> None:
    plan = plan_with(after={"key": "update", "name": "terraform"}, after_sensitive={"key": True, "name": True})
    result = change_set(plan)
    assert (result["engine"], result["changes"][0]["action"], result["summary"]["update"]) == ("terraform", "update", 1)


@pytest.mark.parametrize(
    ("actions", "action"),
    [
        (["create"], "create"),
        (["no-op"], "noop"),
        (["delete", "create"], "replace"),
        (["create", "delete"], "replace"),
        (["delete"], "delete"),
    ],
)
def test_actions(actions: list[str], action: str) -> None:
    result = change_set(plan_with(actions=actions, replace_paths=[["sku", 0, "name"], ["location"]]))
    assert result["changes"][0]["action"] == action
    assert result["summary"][action] == 1
    assert result["changes"][0]["replacePaths"] == ["location", "sku[0].name"]


def test_reading_is_not_a_change() -> None:
    assert change_set(plan_with(actions=["read"]))["changes"] == []


@pytest.mark.parametrize("broken", [{"errored": True}, {"complete": False}])
def test_an_incomplete_plan_is_no_plan(broken: dict[str, bool]) -> None:
    with pytest.raises(RunError, match="Plan incomplete"):
        change_set(plan_with() | broken)


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(RunError, match="forget"):
        change_set(plan_with(actions=["forget"]))


def test_unknown_paths_name_every_leaf() -> None:
    marks = {"id": True, "identity": [{"principal_id": True, "type": False}], "tags": {}}
    change = change_set(plan_with(after_unknown=marks))["changes"][0]
    assert change["unknownPaths"] == ["id", "identity[0].principal_id"]


def test_order_does_not_depend_on_terraform() -> None:
    first, second = plan_with()["resource_changes"][0], plan_with()["resource_changes"][0] | {"address": "a.first"}
    one = change_set(plan_with() | {"resource_changes": [first, second]})
    two = change_set(plan_with() | {"resource_changes": [second, first]})
    assert canonical(one) == canonical(two)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        (
            "https://x.blob.core.windows.net/c?sv=1&sig=a%2Fb&se=2",
            "https://x.blob.core.windows.net/c?sv=1&sig=***&se=2",
        ),
        ("AccountName=a;AccountKey=Zm9v==;x", "AccountName=a;AccountKey=***;x"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln end", "token *** end"),
        ("the key is 0123456789abcdef", "the key is ***"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_credentials_do_not_reach_a_problem(text: str, clean: str) -> None:
    assert scrub(text, {"ARM_ACCESS_KEY": "0123456789abcdef", "HOME": "nothing"}) == clean
