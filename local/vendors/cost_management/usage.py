"""What a query means: usage in a time, summed up by tags and dimensions.

A document is a list of usage:
`{"subscription", "date": "2026-11-03", "cost": 1.2345, "currency", "group", "tags": {}}`.
"""

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

TYPES = frozenset({"Usage", "ActualCost", "AmortizedCost"})
DIMENSIONS = {"resourcegroupname": "ResourceGroupName", "resourcegroup": "ResourceGroup"}
COSTS = frozenset({"Cost", "PreTaxCost"})
GROUPINGS = 2

type Usage = dict[str, Any]


class BadQuery(Exception):  # noqa: N818 -- the vendor's word is BadRequest
    """The service does not understand the query."""


def answer(query: Any, usage: list[Usage]) -> tuple[list[dict[str, str]], list[list[Any]]]:
    """Columns and rows: the sum first, then the groups, then the currency.

    Raises:
        BadQuery: the query is not one that is documented, or not one that is known here.
    """
    if not isinstance(query, dict) or query.get("type") not in TYPES or query.get("timeframe") != "Custom":
        raise BadQuery("type or timeframe")
    since, until = _period(query.get("timePeriod") or {})
    dataset = query.get("dataset") or {}
    groupings = dataset.get("grouping") or []
    if unknown := dataset.keys() - {"aggregation", "grouping"}:
        raise BadQuery(f"not known here: {', '.join(sorted(unknown))}")
    if len(groupings) > GROUPINGS:
        raise BadQuery(f"at most {GROUPINGS} groupings")
    cost = _aggregation(dataset.get("aggregation") or {})
    sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for item in usage:
        if since <= item["date"] <= until:
            key = [value for grouping in groupings for value in _values(grouping, item)]
            sums[*key, item["currency"]] += Decimal(str(item["cost"]))
    columns = [{"name": cost, "type": "Number"}]
    columns += [{"name": name, "type": "String"} for grouping in groupings for name in _columns(grouping)]
    columns.append({"name": "Currency", "type": "String"})
    return columns, [[float(total), *key] for key, total in sorted(sums.items())]


def _period(period: dict[str, str]) -> tuple[str, str]:
    """First and last day. The future is cut off, as the service does it."""
    try:
        since, until = (datetime.fromisoformat(period[name]) for name in ("from", "to"))
    except (KeyError, TypeError, ValueError) as error:
        raise BadQuery("timePeriod") from error
    today = datetime.now(UTC).date().isoformat()
    return since.date().isoformat(), min(until.date().isoformat(), today)


def _aggregation(aggregation: dict[str, dict[str, str]]) -> str:
    found = [item for item in aggregation.values() if item.get("function") == "Sum" and item.get("name") in COSTS]
    if len(found) != 1 or len(aggregation) != 1:
        raise BadQuery("one sum of the costs is known here")
    return found[0]["name"]


def _columns(grouping: dict[str, str]) -> list[str]:
    if grouping.get("type") == "TagKey":
        return ["TagKey", "TagValue"]
    if grouping.get("type") == "Dimension" and grouping.get("name", "").lower() in DIMENSIONS:
        return [DIMENSIONS[grouping["name"].lower()]]
    raise BadQuery(f"grouping {grouping.get('type')} {grouping.get('name')}")


def _values(grouping: dict[str, str], item: Usage) -> list[str]:
    """Names of tags and of resource groups are in lower case, whatever they are at the resource."""
    if len(_columns(grouping)) == 1:
        return [str(item["group"]).lower()]
    tags = {name.lower(): value for name, value in item["tags"].items()}
    name = grouping["name"].lower()
    return [name, str(tags.get(name, ""))]
