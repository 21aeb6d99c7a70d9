"""Microsoft Graph: membership of groups. https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups."""

from typing import Any
from uuid import uuid4

from aiohttp import web

from local.vendors.kernel import MUTATING, Store

from .directory import DOCUMENT, object_id, person
from .tokens import Issuer

AUDIENCES = {"https://graph.microsoft.com", "https://graph.microsoft.com/", "00000003-0000-0000-c000-000000000000"}
MOST = 20


class Graph:
    """The one call, for people of the directory and for those that a test seeded."""

    def __init__(self, store: Store, issuer: Issuer) -> None:
        self._store = store
        self._issuer = issuer

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1.0/directoryObjects/{id}/checkMemberGroups", self.check_member_groups)]

    async def check_member_groups(self, request: web.Request) -> web.Response:
        request[MUTATING] = False
        if not self._admitted(request.headers.get("Authorization", "")):
            return _error(401, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.")
        try:
            wanted = (await request.json())["groupIds"]
        except (ValueError, KeyError, TypeError):
            return _error(400, "BadRequest", "Invalid request. 'groupIds' is required.")
        if not isinstance(wanted, list) or not 1 <= len(wanted) <= MOST:
            return _error(400, "Request_BadRequest", f"'groupIds' takes 1 to {MOST} ids.")
        groups = self._groups(request.match_info["id"])
        if groups is None:
            found = f"Resource '{request.match_info['id']}' does not exist or one of its queried reference-property"
            return _error(404, "Request_ResourceNotFound", f"{found} objects are not present.")
        context = "https://graph.microsoft.com/v1.0/$metadata#Collection(Edm.String)"
        return web.json_response({"@odata.context": context, "value": [one for one in wanted if one in groups]})

    def _admitted(self, header: str) -> bool:
        try:
            return self._issuer.verify(header.removeprefix("Bearer "))["aud"] in AUDIENCES
        except ValueError:
            return False

    def _groups(self, identity: str) -> set[str] | None:
        seeded = {key.removeprefix("personas/"): entry for key, entry in self._store.list("personas/")}
        for name, entry in {**DOCUMENT["people"], **seeded}.items():
            if object_id(name) == identity:
                return set(person(name, entry).groups)
        return None


def _error(status: int, code: str, message: str) -> web.Response:
    inner = {"request-id": str(uuid4()), "client-request-id": str(uuid4())}
    document: dict[str, Any] = {"error": {"code": code, "message": message, "innerError": inner}}
    return web.json_response(document, status=status)
