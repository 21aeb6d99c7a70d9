import copy
from typing import Any

import pytest

from shared.change_set import deviations


def change(address: str, action: str = "create", **after: Any) -> dict[str, Any]:
    return {
        "address": address,
        "type": address.split(".", maxsplit=1)[0],
        "action": action,
        "after": after,
        "unknownPaths": ["id"],
    }


APPROVED = {
    "changes": [
        change("group.this", name="rg-a", tags={"application": "a"}),
        change("vault.this", name="kv-a", network=[{"default": "Deny"}], extra=None),
        change("role.team", "noop", name="r"),
    ]
}


def test_the_rest_of_an_approved_plan_is_covered() -> None:
    rest = {"changes": [change("group.this", "noop"), copy.deepcopy(APPROVED["changes"][1])]}
    rest["changes"][1]["after"]["id"] = "/subscriptions/1/vaults/kv-a"
    del rest["changes"][1]["after"]["extra"]
    assert deviations(APPROVED, rest) == []
    assert deviations(APPROVED, APPROVED) == []
    assert deviations(APPROVED, {"changes": []}) == []


@pytest.mark.parametrize(
    ("item", "word"),
    [
        (change("dns.this"), "was not approved"),
        (change("group.this", "delete"), "delete was not approved"),
        (change("role.team"), "create was not approved"),
        (change("group.this", name="rg-b", tags={"application": "a"}), "name differs"),
        (change("group.this", name="rg-a", tags={"application": "a", "more": "x"}), "tags.more differs"),
        (change("group.this", name="rg-a"), "tags.application differs"),
        (change("vault.this", name="kv-a", network=[{"default": "Allow"}]), "network[0].default differs"),
        (change("vault.this", name="kv-a", network=[{"default": "Deny"}], public=True), "public differs"),
    ],
)
def test_whatever_was_not_approved_is_named(item: dict[str, Any], word: str) -> None:
    found = deviations(APPROVED, {"changes": [item]})
    assert found
    assert all(sentence.startswith(item["address"]) for sentence in found)
    assert word in found[0]


def test_a_path_is_only_unknown_as_a_whole() -> None:
    approved = {"changes": [{**change("vault.this", id_extra="x"), "unknownPaths": ["id"]}]}
    again = {"changes": [{**change("vault.this", id_extra="y"), "unknownPaths": []}]}
    assert deviations(approved, again) == ["vault.this: id_extra differs"]
