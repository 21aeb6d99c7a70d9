"""Azure Resource Graph: the inventory of subscriptions, streamed page by page.

Documentation: https://learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources and
https://learn.microsoft.com/azure/governance/resource-graph/concepts/work-with-data

The index follows Azure Resource Manager by seconds or minutes: whoever is about to change something reads it there.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from shared.clients._http import Call, Vendor, azure_headers
from shared.errors import TransientIntegrationError, VendorCall
from shared.models import Model

_BASE = "https://management.azure.com"
_PATH = "/providers/Microsoft.ResourceGraph/resources"
_VERSION = "2022-10-01"
_OPERATION = "query resource graph"
_PAGE = 1000  # the most that the service gives
_PAGES = 10_000
_TYPE = re.compile(r"[A-Za-z0-9.]+(/[A-Za-z0-9]+)+")
_GROUP = re.compile(r"[-\w.()]{1,90}")
# ``id`` must be among the columns, or the service cannot page; the order keeps rows from moving between pages.
_COLUMNS = "id, name, type, location, resourceGroup, subscriptionId, managedBy, kind, sku, zones, tags, properties"


async def _authorise() -> dict[str, str]:
    return await azure_headers(f"{_BASE}/.default")


_GRAPH = Vendor("azure resource graph", _BASE, _authorise, traced=True)


class InventoryItem(Model):
    """A resource as the index has it.

    Attributes:
        resource_group: its name; the index has it in lower case.
        managed_by: ARM id of what uses it, for example the virtual machine of a disk; empty without one.
    """

    id: str = Field(pattern=r"^/subscriptions/")
    name: str
    type: str
    location: str = ""
    resource_group: str = ""
    subscription_id: str = ""
    managed_by: str | None = None
    kind: str | None = None
    sku: dict[str, Any] | None = None
    zones: list[str] | None = None
    tags: dict[str, str] | None = None
    properties: dict[str, Any] | None = None


@dataclass(frozen=True)
class Unreadable:
    """A row that is not a resource as documented: its id, as far as it has one, and why."""

    id: str
    why: str


class _Page(Model):
    total_records: int
    count: int
    result_truncated: Literal["true", "false"]
    skip_token: str | None = Field(default=None, alias="$skipToken")
    data: list[Any]


async def read_inventory(
    subscriptions: Sequence[str], types: Sequence[str], groups: Sequence[str] = ()
) -> AsyncIterator[InventoryItem | Unreadable]:
    """The resources of these types in these subscriptions, to the last page, one page in memory at a time.

    Args:
        subscriptions: their ids; without one there is nothing to read.
        types: ARM types, for example ``Microsoft.Compute/disks``.
        groups: names of resource groups; empty: all of them.

    Raises:
        TransientIntegrationError: throttled, no answer, not the documented one, or fewer rows than it counted.
    """
    if not subscriptions or not types:
        return
    token, seen = None, 0
    for _ in range(_PAGES):
        page = await _page(subscriptions, query_of(types, groups), token)
        for row in page.data:
            yield _item(row)
        seen += len(page.data)
        token = page.skip_token
        if not token:
            _require_all(page, seen)
            return
    raise _unexpected(f"more than {_PAGES} pages")


def query_of(types: Sequence[str], groups: Sequence[str] = ()) -> str:
    """The query, in the language of Resource Graph.

    Raises:
        ValueError: a name that Azure does not allow, and that could be another query.
    """
    wrong = [name for name in types if not _TYPE.fullmatch(name)] + [
        name for name in groups if not _GROUP.fullmatch(name)
    ]
    if wrong:
        raise ValueError(f"not a type or resource group: {wrong[0]!r}")
    conditions = [f"type in~ ({_quoted(types)})", *([f"resourceGroup in~ ({_quoted(groups)})"] if groups else [])]
    return " | ".join(
        ["Resources", *(f"where {condition}" for condition in conditions), f"project {_COLUMNS}", "order by id asc"]
    )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name.lower()}'" for name in names)


async def _page(subscriptions: Sequence[str], query: str, token: str | None) -> _Page:
    options = {"resultFormat": "objectArray", "$top": _PAGE, **({"$skipToken": token} if token else {})}
    body = {"subscriptions": list(subscriptions), "query": query, "options": options}
    return await _GRAPH.read(Call(_OPERATION, "POST", _PATH, body, params={"api-version": _VERSION}), _Page)


def _item(row: Any) -> InventoryItem | Unreadable:
    try:
        return InventoryItem.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(row.get("id"))[:300] if isinstance(row, dict) else "a row"
        return Unreadable(name, f"{name}: {'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}")


def _require_all(page: _Page, seen: int) -> None:
    """Half an inventory is worse than none: what is missing in it looks as if it were gone.

    That ``resultTruncated`` says false means nothing while there is a token, and true without one that rows are lost.
    """
    if page.result_truncated == "true" or seen < page.total_records:
        raise _unexpected(f"{seen} of {page.total_records} rows, and no way to the others")


def _unexpected(detail: str) -> TransientIntegrationError:
    return TransientIntegrationError(VendorCall(_GRAPH.name, _OPERATION, 200), detail)
