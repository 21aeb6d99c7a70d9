"""Microsoft Graph: membership of groups. https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups."""

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
            return _error(401)
        wanted = (await request.json()).get("groupIds")
        if not isinstance(wanted, list) or not 1 <= len(wanted) <= MOST:
            return _error(400)
        entries = DOCUMENT["people"] | {
            key.removeprefix("personas/"): row for key, row in self._store.list("personas/")
        }
        found = [entry for name, entry in entries.items() if object_id(name) == request.match_info["id"]]
        if not found:
            return _error(404)
        groups = person("", found[0]).groups
        return web.json_response({"value": [one for one in wanted if one in groups]})

    def _admitted(self, header: str) -> bool:
        try:
            return self._issuer.verify(header.removeprefix("Bearer "))["aud"] in AUDIENCES
        except ValueError:
            return False


def _error(status: int) -> web.Response:
    code, message = DOCUMENT["graph"][str(status)]
    inner = {"request-id": str(uuid4())}
    return web.json_response({"error": {"code": code, "message": message, "innerError": inner}}, status=status)
