"""The one form of query that is understood: types, resource groups, columns, order by id.

https://learn.microsoft.com/azure/governance/resource-graph/concepts/query-language
"""

import re
from dataclasses import dataclass
from typing import Any

QUERY = re.compile(
    r"Resources \| where type in~ \((?P<types>[^)]*)\)"
    r"(?: \| where resourceGroup in~ \((?P<groups>.*?)\))?"
    r" \| project (?P<columns>[\w, ]+) \| order by id asc"
)
NAME = re.compile(r"'([^']*)'")

type Row = dict[str, Any]


class BadQuery(Exception):  # noqa: N818 -- what the service answers, not an error of the stand-in
    """The query is not understood."""


@dataclass(frozen=True)
class Query:
    types: frozenset[str]
    groups: frozenset[str]
    columns: tuple[str, ...]

    def rows(self, resources: list[Row]) -> list[Row]:
        """The rows of these resources, in the order of their ids."""
        found = [row for row in map(row_of, resources) if self._fits(row)]
        chosen = [{name: row.get(name) for name in self.columns} for row in found]
        return sorted(chosen, key=lambda row: str(row.get("id")))

    def _fits(self, row: Row) -> bool:
        return row["type"] in self.types and (not self.groups or row["resourceGroup"] in self.groups)


def parse(text: str) -> Query:
    """Read a query.

    Raises:
        BadQuery: it has another form.
    """
    hit = QUERY.fullmatch(" ".join(text.split()))
    if hit is None:
        raise BadQuery("the stand-in knows types, resource groups, columns and the order by id")
    columns = tuple(name.strip() for name in hit["columns"].split(","))
    return Query(_names(hit["types"]), _names(hit["groups"] or ""), columns)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.lower() for name in NAME.findall(text))


def row_of(resource: Row) -> Row:
    """A resource as the index has it: type and group in lower case, and every column present."""
    parts = resource["id"].split("/")
    group = parts[4] if len(parts) > 4 and parts[3].lower() == "resourcegroups" else ""
    return {**resource, "type": resource["type"].lower(), "resourceGroup": group.lower(), "subscriptionId": parts[2]}
