"""Collections: by type, by group, `resources?$filter=`, paged with `$top` and nextLink."""

import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from .errors import bad_request
from .estate import Estate, Resource, visible
from .ids import ResourceId

CONDITION = re.compile(r"\s*(\w+)\s+eq\s+'((?:[^']|'')*)'\s*", re.IGNORECASE)
FIELDS: dict[str, Callable[[Resource], object]] = {
    "resourcetype": lambda item: item["type"],
    "name": lambda item: item["name"],
    "rolename": lambda item: item["properties"].get("roleName"),
    "location": lambda item: item.get("location"),
    "resourcegroup": lambda item: item["id"].split("/")[4] if item["id"].count("/") > 3 else "",
    "principalid": lambda item: item["properties"].get("principalId"),
}


def page(estate: Estate, target: ResourceId, request: web.Request) -> dict[str, Any]:
    """One page of the collection that the path names."""
    fits = _filter(request.query.get("$filter", ""))
    items = [visible(item) for item in _items(estate, target) if fits(item)]
    size, start = int(request.query.get("$top", "1000")), int(request.query.get("$skiptoken", "0"))
    answer: dict[str, Any] = {"value": items[start : start + size]}
    if start + size < len(items):
        answer["nextLink"] = str(request.url.update_query({"$skiptoken": start + size}))
    return answer


def _items(estate: Estate, target: ResourceId) -> list[Resource]:
    if target.type.lower() == "microsoft.authorization/roledefinitions":
        return [value for _, value in estate.store.list("role-definition/")]
    if target.type.lower() == "microsoft.authorization/roleassignments":
        everywhere, key = estate.of_type(target.type), target.scope.lower()
        scopes = [(item, item["properties"]["scope"].lower()) for item in everywhere]
        return [item for item, scope in scopes if f"{key}/".startswith(f"{scope}/") or scope.startswith(f"{key}/")]
    if target.type:
        return estate.of_type(target.type, target.scope)
    # Tracked resources have a location; children, extensions and groups are not in this list.
    return [item for item in estate.under(target.scope) if item.get("location") and "/providers/" in item["id"]]


def _filter(text: str) -> Callable[[Resource], bool]:
    """Understand `field eq 'value' and ...` and atScope(), the filters that ARM documents for these lists.

    Raises:
        ArmError: 400 for anything else.
    """
    conditions = []
    for part in re.split(r"\s+and\s+", text.strip()) if text.strip() else []:
        match = CONDITION.fullmatch(part)
        if match is None and part != "atScope()":
            raise bad_request("InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string.")
        if match:
            conditions.append((match[1].lower(), match[2].replace("''", "'")))
    wanted = dict(conditions)
    name, value = wanted.pop("tagname", None), wanted.pop("tagvalue", None)
    if unknown := wanted.keys() - FIELDS.keys():
        raise bad_request("InvalidFilterInQueryString", f"The filter does not know {', '.join(sorted(unknown))}.")

    def fits(item: Resource) -> bool:
        tags = {key.lower(): tag for key, tag in (item.get("tags") or {}).items()}
        if name is not None and (name.lower() not in tags or value not in (None, tags[name.lower()])):
            return False
        return all(str(FIELDS[field](item)).lower() == given.lower() for field, given in wanted.items())

    return fits
