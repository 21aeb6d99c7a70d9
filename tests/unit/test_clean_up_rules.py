from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clean_up_filters import Seen, UnknownPartError, UnreadableResourceError, filters_of
from shared.clean_up_kinds import KINDS, configuration_of, kind_of
from shared.clean_up_rules import clean_up_policies, clean_up_settings
from shared.errors import ConfigurationError
from tests.unit.clean_up_cases import AT, CASES, DISK, value


def means(*filters: Any, document: dict[str, Any] = DISK, **changes: Any) -> bool:
    return filters_of(list(filters), ("filters",))(Seen(document, AT, **changes))


@pytest.mark.parametrize(
    ("matches", "condition"),
    CASES,
)
def test_a_filter_means_what_it_means_in_cloud_custodian(matches: bool, condition: Any) -> None:
    assert means(condition) is matches
    assert means({"not": [condition]}) is not matches


@pytest.mark.parametrize(
    ("condition", "where"),
    [
        ({"type": "cost"}, "filters.0.type: 'cost' is no filter"),
        ("unused", "filters.0: 'unused' is no filter"),
        (value("name", "x", "like"), "filters.0.op: 'like' is none of"),
        (value("name", "x", kind="cidr"), "filters.0.value_type: 'cidr'"),
        ({"type": "value", "key": "name", "value_from": {"url": "s3://x"}}, "filters.0.value_from: not in our part"),
        ({"type": "value", "key": "name"}, "filters.0: a value filter has"),
        ({"not": {"name": "x"}}, "filters.0.not: a list of filters"),
        ({"or": [{"and": [{"type": "offhour"}]}]}, "filters.0.or.0.and.0.type: 'offhour'"),
        (value("name[", "x"), "filters.0.key: 'name\\['"),
        (value("name", "(", "regex"), "filters.0.value: '\\('"),
        ({"type": "marked-for-op", "op": "stop"}, "filters.0.op: only what is marked for `delete`"),
        ({"type": "marked-for-op", "op": "delete", "skew": -1}, "filters.0.skew"),
    ],
)
def test_what_is_not_ours_is_refused_where_it_is(condition: Any, where: str) -> None:
    with pytest.raises(UnknownPartError, match=where):
        means(condition)


def test_a_mark_is_asked_of_the_register_and_not_of_the_tag() -> None:
    marked = {"type": "marked-for-op", "op": "delete", "tag": "t", "skew": 2}
    tagged = DISK | {"tags": {"t": "Resource does not meet policy: delete@2020/01/01"}}
    assert not means(marked, document=tagged)
    asked: list[tuple[str, timedelta]] = []

    def is_due(tag: str, skew: timedelta) -> bool:
        asked.append((tag, skew))
        return True

    assert means(marked, is_due=is_due)
    assert asked == [("t", timedelta(days=2))]


def test_a_resource_that_cannot_be_asked_about_is_told_apart() -> None:
    with pytest.raises(UnreadableResourceError, match="length"):
        means(value("length(properties.nothing)", 0))


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda s: st.lists(s, max_size=3)))
def test_no_value_breaks_an_operator(found: Any) -> None:
    for op in ("eq", "gt", "in", "contains", "glob", "regex", "intersect", "mod"):
        for kind in (None, "age", "integer", "size", "date", "normalize") if op != "regex" else (None,):
            assert means(value("x", 3 if kind else "a", op, kind), document={"x": found}) in (True, False)


# -- files -------------------------------------------------------------------------------------------------------------


def folder(tmp_path: Path, *policies: Any, **top: Any) -> Path:
    (tmp_path / "customer.yml").write_text(yaml.safe_dump({"policies": list(policies), **top}))
    return tmp_path


def policy(**changes: Any) -> dict[str, Any]:
    given = {"name": "p", "resource": "azure.disk", "filters": [{"name": "x"}], "actions": ["delete"]}
    return {name: said for name, said in (given | changes).items() if said is not None}


def test_our_own_policies_are_in_the_language() -> None:
    found = clean_up_policies()
    assert {policy.kind.name for policy in found} == {kind.name for kind in KINDS}
    assert all(policy.waits for policy in found if policy.removes), "nothing of ours is removed without a mark"
    assert {(policy.mark.days, policy.mark.tag) for policy in found if policy.mark} == {(14, "appstore-clean-up")}


def test_a_file_of_a_customer_is_read(tmp_path: Path) -> None:
    mark = {"type": "mark-for-op", "op": "delete"}
    kinds = ["azure.publicip", "networkinterface"]
    tag = {"type": "tag", "tag": "a", "value": "b"}
    given = [
        policy(name="mark", resource=kinds, mode={"type": "azure-periodic"}, actions=[mark | {"days": 30}, tag]),
        policy(name="remove", filters=[{"type": "marked-for-op", "op": "delete"}, {"name": "x"}]),
        policy(name="at-once"),
        policy(name="hours", actions=[mark | {"hours": 30, "tag": "t"}], metadata={"sightings": 9}),
        policy(name="silent", actions=[mark]),
    ]
    found = {f"{item.name} {item.kind.name}": item for item in clean_up_policies(folder(tmp_path, *given))}
    assert len(found) == 6
    first = found["mark azure.publicip"]
    assert first.mark
    assert (first.mark.days, first.mark.tag, first.tags, first.removes) == (30, "custodian_status", {"a": "b"}, False)
    assert found["remove azure.disk"].mark is None
    at_once = found["at-once azure.disk"]
    assert at_once.mark
    assert at_once.mark.days == clean_up_settings().grace_days, "what would be removed at once gets our days of grace"
    hours = found["hours azure.disk"]
    assert hours.mark
    assert (hours.mark.days, hours.mark.tag, hours.sightings) == (2, "t", 9)
    assert found["silent azure.disk"].mark == type(hours.mark)("custodian_status", 4)


# What holds data and has no snapshot that outlives it: no policy removes it.
DATA = ("azure.postgresql-server", "azure.sqldatabase", "azure.storage", "azure.cosmosdb", "azure.keyvault")
DATA_TYPES = ("dbfor", "sql", "storage", "documentdb", "keyvault", "servicebus", "cache", "recoveryservices")


def test_nothing_that_holds_data_is_removed_without_a_snapshot() -> None:
    held = [kind.name for kind in KINDS if any(name in kind.type.lower().split("/")[0] for name in DATA_TYPES)]
    assert held == []
    assert [kind.name for kind in KINDS if kind.has_data] == ["azure.disk"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"resource": "azure.vm"}, "policy p: resource: 'azure.vm' is none of"),
        ({"resource": None}, "policy p: resource: None"),
        *(({"resource": kind}, f"policy p: resource: '{kind}' is none of") for kind in DATA),
        ({"filters": None}, "policy p: filters: a policy without a filter"),
        ({"actions": []}, "policy p: actions: a list of"),
        ({"actions": ["stop"]}, "policy p: actions.0.type: 'stop' is no action"),
        ({"actions": [{"type": "notify", "to": []}]}, "policy p: actions.0.type: 'notify'"),
        ({"actions": [{"type": "delete", "force": True}]}, "policy p: actions.0.force"),
        ({"actions": [{"type": "mark-for-op", "op": "stop"}]}, "policy p: actions.0.op: only `delete`"),
        ({"actions": [{"type": "mark-for-op", "op": "delete", "days": "x"}]}, "policy p: actions.0.days"),
        ({"actions": [{"type": "tag", "tag": "a", "value": 1}]}, "policy p: actions.0: `tag`"),
        ({"query": []}, "policy p: query: not in our part"),
        ({"max-resources": 3}, "policy p: max-resources: not in our part of the language; limits are in"),
        ({"mode": {"type": "azure-event-grid"}}, "policy p: mode.type"),
        ({"metadata": {"sightings": 0}}, "policy p: metadata.sightings"),
        ({"filters": [{"type": "cost"}]}, "policy p: filters.0.type: 'cost'"),
        ({"name": None}, "policies.0: a policy has a name"),
    ],
)
def test_file_policy_and_field_are_named(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=r"customer\.yml: .*") as caught:
        clean_up_policies(folder(tmp_path, policy(**changes)))
    assert says in str(caught.value)


@pytest.mark.parametrize("text", ["policies: {}", "- 1", "policies: [", "policies: []\nother: 1"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "customer.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"customer\.yaml"):
        clean_up_policies(tmp_path)


def test_a_name_is_used_once_and_a_change_counts_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the name is used twice"):
        clean_up_policies(folder(tmp_path, policy(), policy()))
    assert len(clean_up_policies(folder(tmp_path, policy(), policy(name="other")))) == 2


def test_a_configuration_is_what_somebody_chose() -> None:
    document = DISK | {"etag": "1", "location": "westeurope", "tags": {"a": "b", "Mark": "x"}}
    document["properties"] = {
        "diskSizeGB": 64,
        "diskState": "Unattached",
        "deep": [{"provisioningState": "x", "id": "y"}],
    }
    assert configuration_of(document, kind_of("microsoft.compute/Disks"), mirror="mark") == {
        "location": "westeurope",
        "tags": {"a": "b"},
        "sku": {"name": "Premium_LRS"},
        "zones": ["1", "2", "2"],
        "properties": {"diskSizeGB": 64, "deep": [{"id": "y"}]},
    }
    with pytest.raises(ValueError, match="not among the kinds"):
        kind_of("Microsoft.KeyVault/vaults")
