"""People, groups, their members, and who is assigned which role of the App Store.

https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups
https://learn.microsoft.com/graph/api/serviceprincipal-list-approleassignedto
https://learn.microsoft.com/graph/api/group-list-transitivemembers
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode
from uuid import NAMESPACE_DNS, uuid4, uuid5

from aiohttp import web

from local.vendors.entra.directory import DOCUMENT, Directory, group_id, object_id
from local.vendors.entra.tokens import APP_STORE
from local.vendors.kernel import MUTATING, Kernel

from .applications import Applications

AUDIENCES = {"https://graph.microsoft.com", "https://graph.microsoft.com/", "00000003-0000-0000-c000-000000000000"}
MOST = 20
ROLES = ("Requester", "Approver", "FinOps", "Operator", "Auditor", "Admin")
RESOURCE = object_id("appstore.principal")
MOST_IN_FILTER = 15
BY_IDS = re.compile(r"id in \((?P<ids>'[0-9a-f-]{36}'(, '[0-9a-f-]{36}')*)\)")
BY_NAME = f"servicePrincipalNames/any(n:n eq '{APP_STORE}')"

type Handler = Callable[[web.Request], Awaitable[web.Response]]
type Rows = list[dict[str, Any]]


class Refused(Exception):  # noqa: N818 -- an answer to the caller, not an error of the stand-in
    """The status of an error."""


class Graph:
    """The calls, for people of the directory and for those that a test seeded."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._store = kernel.store("entra")

    def routes(self) -> list[web.RouteDef]:
        principals, application = "/v1.0/servicePrincipals", "/v1.0/applications/{id}"
        applications = Applications(self._store)
        return [
            web.get(application, self._guarded(applications.read)),
            web.post(application + "/addPassword", self._guarded(applications.add)),
            web.post(application + "/removePassword", self._guarded(applications.remove)),
            web.post("/v1.0/directoryObjects/{id}/checkMemberGroups", self._guarded(self.check_member_groups)),
            web.get("/v1.0/users", self._guarded(self.users)),
            web.get("/v1.0/users/{id}", self._guarded(self.user)),
            web.get("/v1.0/groups/{id}/{kind:members|transitiveMembers}", self._guarded(self.members)),
            web.get(principals, self._guarded(self.service_principals)),
            web.get(principals + "/{id}/appRoleAssignedTo", self._guarded(self.assignments)),
        ]

    async def check_member_groups(self, request: web.Request) -> web.Response:
        wanted = (await request.json()).get("groupIds")
        if not isinstance(wanted, list) or not 1 <= len(wanted) <= MOST:
            raise Refused(400)
        groups = self._person(request.match_info["id"])[2]
        return web.json_response({"value": [one for one in wanted if one in groups]})

    async def user(self, request: web.Request) -> web.Response:
        name, identifier, _ = self._person(request.match_info["id"])
        fields = {"id": identifier, "userPrincipalName": f"{name}@contoso.com", "displayName": name}
        wanted = request.query.get("$select", ",".join(fields)).split(",")
        return web.json_response({field: fields[field] for field in wanted if field in fields})

    async def users(self, request: web.Request) -> web.Response:
        """Only the one question by ids, at most 15; who does not exist is left out."""
        wanted = BY_IDS.fullmatch(request.query.get("$filter", ""))
        ids = wanted["ids"].replace("'", "").split(", ") if wanted else []
        if not 1 <= len(ids) <= MOST_IN_FILTER:
            raise Refused(400)
        rows = [_user(name, row) for name, row in self._directory().people.items()]
        return _page(request, [row for row in rows if row["id"] in ids])

    async def members(self, request: web.Request) -> web.Response:
        directory = self._directory()
        nested = [(group_id(team), group_id(parent)) for team, row in directory.groups.items() for parent in row["in"]]
        inside = {request.match_info["id"]}
        while request.match_info["kind"] == "transitiveMembers" and (
            more := {child for child, parent in nested if parent in inside} - inside
        ):
            inside |= more
        people = [
            _object("user", object_id(name), accountEnabled=entry.get("enabled", True))
            for name, entry in directory.people.items()
            if inside & set(map(group_id, entry["teams"]))
        ]
        groups = [_object("group", child) for child, parent in nested if parent in inside]
        if not people + groups and request.match_info["id"] not in directory.known_groups():
            raise Refused(404)
        return _page(request, people + groups)

    async def service_principals(self, request: web.Request) -> web.Response:
        """Only the one question by an identifier of the application."""
        found = request.query.get("$filter") == BY_NAME
        roles = [{"id": _role(role), "value": role, "isEnabled": True} for role in ROLES]
        return web.json_response({"value": [{"id": RESOURCE, "appRoles": roles}] if found else []})

    async def assignments(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != RESOURCE:
            raise Refused(404)
        directory = self._directory()
        given = [("User", object_id(name), row["roles"]) for name, row in directory.people.items()]
        given += [("Group", group_id(team), row["roles"]) for team, row in directory.groups.items()]
        given += [("ServicePrincipal", object_id(name), roles) for name, roles in DOCUMENT["applications"].items()]
        rows = [
            {"id": str(uuid4()), "appRoleId": _role(role), "principalId": identifier, "principalType": kind}
            for kind, identifier, roles in given
            for role in roles
        ]
        return _page(request, rows)

    def _directory(self) -> Directory:
        return Directory(self._store)

    def _person(self, wanted: str) -> tuple[str, str, tuple[str, ...]]:
        """Name, object id and groups, nested ones too. Raises Refused 404."""
        directory = self._directory()
        for name in directory.people:
            if wanted.lower() in {object_id(name), f"{name}@contoso.com"}:
                return name, object_id(name), directory.person(name).groups
        raise Refused(404)

    def _guarded(self, handler: Handler) -> Handler:
        """A handler that demands a token for Graph, and refuses in Graph's shape."""

        async def run(request: web.Request) -> web.Response:
            request[MUTATING] = False
            if not self._admitted(request.headers.get("Authorization", "")):
                return _error(401)
            try:
                answer = await handler(request)
            except Refused as error:
                return _error(error.args[0])
            return _error(answer.status) if answer.status in (400, 404) else answer

        return run

    def _admitted(self, header: str) -> bool:
        try:
            return self._kernel.vendor("entra").verify(header.removeprefix("Bearer "))["aud"] in AUDIENCES
        except ValueError:
            return False


def _role(name: str) -> str:
    return str(uuid5(NAMESPACE_DNS, f"{name}.role.contoso.com"))


def _user(name: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": object_id(name),
        "userPrincipalName": f"{name}@contoso.com",
        "accountEnabled": row.get("enabled", True),
    }


def _object(kind: str, identifier: str, **more: Any) -> dict[str, Any]:
    return {"@odata.type": f"#microsoft.graph.{kind}", "id": identifier, **more}


def _page(request: web.Request, rows: Rows) -> web.Response:
    """A page of at most 999 rows, 100 without `$top`, and the address of the next one."""
    size, start = int(request.query.get("$top", "100")), int(request.query.get("$skiptoken", "0"))
    if not 1 <= size <= 999:
        return _error(400)
    asked = request.query.get("$select", "").split(",")  # accountEnabled comes only to who selects it
    chosen = [
        {key: row[key] for key in row if (key in asked if any(asked) else key != "accountEnabled") or key[0] == "@"}
        for row in rows
    ]
    document: dict[str, Any] = {"value": chosen[start : start + size]}
    if len(rows) > start + size:
        query = urlencode({**request.query, "$skiptoken": str(start + size)})
        document["@odata.nextLink"] = f"https://graph.microsoft.com{request.path}?{query}"
    return web.json_response(document)


def _error(status: int) -> web.Response:
    code, message = DOCUMENT["graph"][str(status)]
    inner = {"request-id": str(uuid4())}
    return web.json_response({"error": {"code": code, "message": message, "innerError": inner}}, status=status)
