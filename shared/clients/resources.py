"""Azure resources whatever their type: listing those of a group, their tags, their locks.

Documentation: https://learn.microsoft.com/rest/api/resources/resources/list-by-resource-group,
https://learn.microsoft.com/rest/api/resources/tags/update-at-scope and
https://learn.microsoft.com/rest/api/resources/management-locks/list-by-scope
"""

from collections.abc import AsyncIterator
from typing import Any

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.guard import Permit
from shared.models import Model

_RESOURCES = "2025-04-01"
_LOCKS = "2020-05-01"
TAGS_SUFFIX = "/providers/Microsoft.Resources/tags/default"


_ARM = arm()


class Resource(Model):
    """A resource as a listing shows it."""

    id: str
    name: str
    type: str
    location: str = ""
    tags: dict[str, str] | None = None


class _Page(Model):
    value: list[Resource]
    next_link: str | None = None


class _Tags(Model):
    tags: dict[str, str] | None = None


class _TagsAnswer(Model):
    properties: _Tags


class _Lock(Model):
    id: str
    properties: dict[str, Any]


class _Locks(Model):
    value: list[_Lock]


class _Group(Model):
    properties: dict[str, Any]


async def list_resources(group: str) -> AsyncIterator[Resource]:
    """The resources of a resource group (its ARM id), page by page to the last one.

    Raises:
        NotFoundError: there is no such group.
    """
    call = Call("list resources", "GET", f"{group}/resources", params={"api-version": _RESOURCES})
    async for page in _ARM.pages(call, _Page):
        for resource in page.value:
            yield resource


async def read_tags(scope: str) -> dict[str, str]:
    """The tags of a resource or group.

    Raises:
        NotFoundError: it does not exist.
    """
    call = Call("get tags", "GET", f"{scope}{TAGS_SUFFIX}", params={"api-version": _RESOURCES})
    return (await _ARM.read(call, _TagsAnswer)).properties.tags or {}


def merge_of(tags: dict[str, str]) -> dict[str, Any]:
    """Body of a merge: tags that it does not name stay as they are."""
    return {"operation": "Merge", "properties": {"tags": tags}}


async def merge_tags(scope: str, tags: dict[str, str], permit: Permit) -> dict[str, str]:
    """Set these tags of what the permit is for and leave all others; returns the tags as they are then."""
    path = f"{scope}{TAGS_SUFFIX}"
    call = Call(f"merge {permit.action.kind}", "PATCH", path, merge_of(tags), params={"api-version": _RESOURCES})
    return (await _ARM.read(call, _TagsAnswer)).properties.tags or {}


def deletion_of(tags: dict[str, str]) -> dict[str, Any]:
    """Body of a deletion of tags that have these values; all others stay."""
    return {"operation": "Delete", "properties": {"tags": tags}}


async def delete_tags(scope: str, tags: dict[str, str], permit: Permit) -> None:
    """Take these tags away from what the permit is for and leave all others."""
    path = f"{scope}{TAGS_SUFFIX}"
    call = Call(f"delete {permit.action.kind}", "PATCH", path, deletion_of(tags), params={"api-version": _RESOURCES})
    await _ARM.call(call)


async def is_locked(scope: str) -> bool:
    """Whether a management lock lies on a resource, on something below it, or on its resource group."""
    group = "/".join(scope.split("/")[:5])
    locks: list[_Lock] = []
    for place in dict.fromkeys((scope, group)):
        path = f"{place}/providers/Microsoft.Authorization/locks"
        call = Call("list locks", "GET", path, params={"api-version": _LOCKS})
        locks += (await _ARM.read(call, _Locks)).value
    own = f"{scope.lower()}/"
    return any(
        _covers(lock.id.lower().rpartition("/providers/microsoft.authorization/locks/")[0], own) for lock in locks
    )


def _covers(locked: str, resource: str) -> bool:
    """Whether a lock on ``locked`` keeps ``resource``: from above, on it, or on something below it."""
    return resource.startswith(f"{locked}/") or locked.startswith(resource)


def group_with(location: str, tags: dict[str, str]) -> dict[str, Any]:
    """Body of a resource group."""
    return {"location": location, "tags": tags}


async def put_group(group: str, location: str, tags: dict[str, str], permit: Permit) -> None:
    """Create a resource group (its ARM id), or set its tags."""
    body, version = group_with(location, tags), {"api-version": _RESOURCES}
    await _ARM.call(Call(f"create {permit.action.kind}", "PUT", group, body, params=version, expect=(200, 201)))


async def delete_group(group: str, permit: Permit) -> bool:
    """Delete a resource group with everything in it; returns whether it is gone by now.

    Deleting takes minutes: one that is being deleted is only looked at.
    """
    found = await _find_group(group)
    if found is not None and found.get("provisioningState") != "Deleting":
        version = {"api-version": _RESOURCES}
        await _ARM.call(Call(f"delete {permit.action.kind}", "DELETE", group, params=version, expect=(200, 202, 404)))
        found = await _find_group(group)
    return found is None


async def _find_group(group: str) -> dict[str, Any] | None:
    """Properties of a resource group, or None."""
    look = Call("get resource group", "GET", group, params={"api-version": _RESOURCES}, expect=(200, 404))
    answer = await _ARM.call(look)
    return None if answer.status == 404 else _ARM.shaped(look, answer, _Group).properties  # noqa: PLR2004 - HTTP status


async def list_tagged(subscription: str, tag: str) -> AsyncIterator[Resource]:
    """Resources and resource groups of a subscription that carry a tag, whatever its value.

    Documentation: https://learn.microsoft.com/rest/api/resources/resources/list and
    https://learn.microsoft.com/rest/api/resources/resource-groups/list
    """
    wanted = {"api-version": _RESOURCES, "$filter": f"tagName eq '{tag}'"}
    for collection in ("resources", "resourcegroups"):
        call = Call("list tagged resources", "GET", f"/subscriptions/{subscription}/{collection}", params=wanted)
        async for page in _ARM.pages(call, _Page):
            for resource in page.value:
                yield resource
