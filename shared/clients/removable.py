"""Single resources of the kinds that the clean-up removes and brings back: read, put there, deleted.

Documentation: https://learn.microsoft.com/rest/api/resources/resources/get-by-id,
https://learn.microsoft.com/rest/api/resources/resources/create-or-update-by-id,
https://learn.microsoft.com/rest/api/resources/resources/delete-by-id and
https://learn.microsoft.com/rest/api/compute/snapshots
"""

from typing import Any

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.guard import Permit

_MISSING = 404
_ARM = arm()


async def read_resource(resource: str, version: str) -> dict[str, Any] | None:
    """The resource's document; None when there is none."""
    call = Call("get resource", "GET", resource, params={"api-version": version}, expect=(200, _MISSING))
    answer = await _ARM.call(call)
    return None if answer.status == _MISSING else _ARM.shaped(call, answer, dict[str, Any])


async def put_resource(resource: str, version: str, body: dict[str, Any], permit: Permit) -> dict[str, Any]:
    """Create a resource, or bring it to this; returns its document, which may say that it is still being made."""
    call = Call(
        f"put {permit.action.kind}", "PUT", resource, body, params={"api-version": version}, expect=(200, 201, 202)
    )
    await _ARM.call(call)
    look = Call("get resource", "GET", resource, params={"api-version": version})
    return await _ARM.read(look, dict[str, Any])


async def delete_resource(resource: str, version: str, permit: Permit) -> bool:
    """Delete a resource; returns whether it is gone by now.

    Raises:
        ConflictError: it is in use, or a lock lies on it.
    """
    call = Call(
        f"delete {permit.action.kind}",
        "DELETE",
        resource,
        params={"api-version": version},
        expect=(200, 202, 204, _MISSING),
    )
    await _ARM.call(call)
    return await read_resource(resource, version) is None
