"""Who may call, in which version, and how Azure DevOps refuses.

https://learn.microsoft.com/azure/devops/integrate/concepts/rest-api-versioning
https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/service-principal-managed-identity
"""

import json
from pathlib import Path
from typing import Any

from aiohttp import web

from local.vendors.kernel import Kernel
from local.vendors.kernel.faults import Handler

AUDIENCE = "499b84ac-1321-427f-aa17-267ca6975798"
ORGANIZATION, PROJECT = "contoso", "Applications"
AGILE = json.loads(Path(__file__).with_name("agile.json").read_text())

type Json = dict[str, Any]


class Refused(Exception):  # noqa: N818 -- an answer to the caller, not an error of the stand-in
    """Status code and message."""


def demand[T](found: T | None, code: str, about: object = "") -> T:
    """What is there or true; otherwise raises Refused."""
    if not found:
        status, said = AGILE["refusals"][code]
        raise Refused(status, f"{code}: {said.format(about)}")
    return found


def guarded(kernel: Kernel, handler: Handler) -> Handler:
    """A handler that demands a token of Entra ID and a version, and refuses in the vendor's shape."""

    async def run(request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token:
            return web.Response(status=302, headers={"Location": "https://app.vssps.visualstudio.com/_signin"})
        try:
            claims = kernel.vendor("entra").verify(token)
        except ValueError:
            return web.Response(status=203, text="<html><title>Sign In</title></html>", content_type="text/html")
        try:
            _admit(request, claims["aud"])
            return await handler(request)
        except Refused as error:
            told = {"$id": "1", "innerException": None, "message": error.args[1], "errorCode": 0, "eventId": 3000}
            return web.json_response(told, status=error.args[0])

    return run


def _admit(request: web.Request, audience: str) -> None:
    version = request.query.get("api-version")
    demand(audience == AUDIENCE, "TF400813")
    demand(version or request.method == "GET", "VERSION")
    demand(version in (None, "7.1"), "UNKNOWN", f"api-version {version}")
    for name, known in (("organization", ORGANIZATION), ("project", PROJECT)):
        demand(request.match_info[name] == known, "TF200016", request.match_info[name])


async def content(request: web.Request, kind: str = "application/json") -> Any:
    """The JSON that was sent. Raises Refused 400 or 415."""
    demand(request.content_type == kind, "TYPE", request.content_type)
    try:
        return json.loads(await request.read())
    except ValueError as error:
        raise Refused(400, "TF400898: The body is not JSON.") from error
