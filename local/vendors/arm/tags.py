"""Tags of any resource: `{scope}/providers/Microsoft.Resources/tags/default`."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from .errors import ArmError, bad_request
from .estate import Estate
from .rules import check_tags

TAGS_SUFFIX = "/providers/microsoft.resources/tags/default"


def answer_tags(
    estate: Estate, locked: Callable[..., None], method: str, scope: str, body: dict[str, Any]
) -> web.Response:
    resource = estate.get(scope)
    if resource is None:
        raise ArmError(404, "ResourceNotFound", f"The resource '{scope}' was not found.")
    tags = resource.get("tags") or {}
    if method != "GET":
        locked(scope, "write", levels=("ReadOnly",))
        operation = {"PUT": "Replace", "DELETE": "Replace"}.get(method, str(body.get("operation", "")))
        tags = _changed(operation, tags, ((body.get("properties") or {}).get("tags")) or {})
        check_tags(tags)
        estate.put({**resource, "tags": tags})
    if method == "DELETE":
        return web.Response(status=200)
    identity = {"id": f"{scope}{TAGS_SUFFIX}", "name": "default", "type": "Microsoft.Resources/tags"}
    return web.json_response({**identity, "properties": {"tags": tags}})


def _changed(operation: str, old: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """Names are case-insensitive and keep the casing they have."""
    known = {name.lower(): name for name in old}
    match operation.lower():
        case "replace":
            return given
        case "merge":
            return old | {known.get(name.lower(), name): value for name, value in given.items()}
        case "delete":
            gone = {name.lower() for name in given}
            return {name: value for name, value in old.items() if name.lower() not in gone}
    raise bad_request("InvalidTagsOperation", f"The operation '{operation}' is not Replace, Merge or Delete.")
