"""What filters mean: asked of our own (test_clean_up_rules.py) and of Cloud Custodian itself (make test-custodian)."""

from datetime import UTC, datetime, timedelta
from typing import Any

AT = datetime.now(UTC)
DAY = timedelta(days=1)
DISK: dict[str, Any] = {
    "id": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/disks/data",
    "name": "data",
    "type": "microsoft.compute/disks",
    "tags": {"Owner": "payments", "count": " 7 "},
    "sku": {"name": "Premium_LRS"},
    "zones": ["1", "2", "2"],
    "managedBy": "",
    "properties": {"diskState": "Unattached", "diskSizeGB": 64, "timeCreated": (AT - 25 * DAY).isoformat(), "nics": []},
}


def value(key: str, wanted: Any, op: str | None = None, kind: str | None = None) -> dict[str, Any]:
    extra = {"op": op} if op else {}
    return {"type": "value", "key": key, "value": wanted} | extra | ({"value_type": kind} if kind else {})


CASES: list[tuple[bool, Any]] = [
    (True, {"properties.diskState": "Unattached"}),
    (False, {"properties.diskState": "unattached"}),
    (True, value("properties.diskState", "UNATTACHED".lower(), kind="normalize")),
    (True, {"managedBy": "empty"}),
    (False, {"managedBy": "absent"}),
    (True, {"properties.nothing.below": "absent"}),
    (True, value("properties.nothing", None)),
    (True, {"name": "present"}),
    (True, {"name": "not-null"}),
    (True, {"tag:owner": "payments"}),
    (True, {"tag:OWNER": "present"}),
    (True, {"tag:other": "absent"}),
    (True, value("tag:owner", ["payments", "web"], "in")),
    (False, value("tag:owner", ["payments", "web"], "not-in")),
    (True, value("tag:other", ["payments"], "not-in")),
    (True, value("zones", "2", "contains")),
    (True, value("zones", ["2", "3"], "intersect")),
    (True, value("zones", ["2"], "difference")),
    (True, value("zones", 3, kind="size")),
    (True, value("zones", 2, kind="unique_size")),
    (True, value("length(zones)", 3)),
    (True, value("properties.diskSizeGB", 64, "ge")),
    (False, value("properties.diskSizeGB", 64, "gt")),
    (False, value("properties.nothing", 1, "gt")),
    (True, value("tag:count", 7, "eq", "integer")),
    (True, value("tag:owner", 0, "eq", "integer")),
    (True, value("properties.timeCreated", 20, "gt", "age")),
    (False, value("properties.timeCreated", 30, "gt", "age")),
    (False, value("properties.nothing", 1, "gt", "age")),
    (True, value("properties.timeCreated", 7, "lt", "expiration")),
    (True, value("properties.timeCreated", (AT - 24 * DAY).isoformat(), "lt", "date")),
    (True, value("name", "da*", "glob")),
    (True, value("name", "DA.A", "regex")),
    (False, value("name", "DA.A", "regex-case")),
    (True, {"type": "value", "key": "name", "value_regex": "^(d)", "value": "d"}),
    (True, {"type": "value", "key": "tag:owner", "value_path": "tags.Owner"}),
    (True, value("zones", "2", "in", "swap")),
    (True, {"or": [{"name": "x"}, {"name": "data"}]}),
    (False, {"and": [{"name": "x"}, {"name": "data"}]}),
    (True, {"not": [{"name": "x"}, {"name": "data"}]}),
]
