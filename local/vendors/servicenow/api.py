"""OAuth, then Table API, Change Management API and CMDB Instance API: the same rows in three shapes.

https://www.servicenow.com/docs/r/platform-security/authentication/client-credentials.html
https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html
https://www.servicenow.com/docs/r/api-reference/rest-apis/cmdb-instance-api.html
"""

import secrets
import time
from typing import Any

from aiohttp import web

from local.vendors.kernel import MUTATING
from local.vendors.kernel.faults import Handler

from .changes import CHANGE, Changes, body_of
from .records import DOCUMENT, Refused, Row, assign, blank, columns

CLIENT = {"grant_type": "client_credentials", "client_id": "appstore", "client_secret": "servicenow-secret"}
CMDB = "cmdb/instance"


class Api(Changes):
    """Handlers; `api` in the path tells the shape, a path without it is one of the Change API."""

    async def token(self, request: web.Request) -> web.Response:
        """Issue an access token for the grant client_credentials; it survives a restart."""
        request[MUTATING] = False
        if not CLIENT.items() <= dict(await request.post()).items():
            return web.json_response({"error": "access_denied", "error_description": "access_denied"}, status=401)
        granted = {"access_token": secrets.token_urlsafe(64), "token_type": "Bearer", "scope": "useraccount"}
        self.store.put(f"token/{granted['access_token']}", time.time() + 1799)
        return web.json_response(granted | {"expires_in": 1799})

    def guarded(self, handler: Handler) -> Handler:
        """A handler that demands a token, and refuses in the vendor's shape."""

        async def run(request: web.Request) -> web.StreamResponse:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            try:
                if scheme.lower() == "bearer" and (self.store.get(f"token/{token}") or 0) > time.time():
                    return await handler(request)
                status, text, detail = 401, "User is not authenticated", "Required to provide Auth information"
            except Refused as error:
                status, text, detail = error.args
            return web.json_response({"error": {"message": text, "detail": detail}, "status": "failure"}, status=status)

        return run

    async def list(self, request: web.Request) -> web.Response:
        rows = self.find(request.match_info["table"], request.query.get("sysparm_query", ""))
        start = int(request.query.get("sysparm_offset", "0"))
        page, names = rows[start : start + int(request.query.get("sysparm_limit", "10000"))], ("sys_id", "name")
        brief = request.match_info["api"] == CMDB
        shown = [{name: row[name] for name in names} if brief else self._shape(request, row) for row in page]
        return web.json_response({"result": shown}, headers={"X-Total-Count": str(len(rows))})

    async def read(self, request: web.Request) -> web.Response:
        return web.json_response({"result": self._shape(request, self.row(request))})

    async def delete(self, request: web.Request) -> web.Response:
        self.store.delete(f"record/{self.row(request)['sys_id']}")
        return web.Response(status=204)

    async def write(self, request: web.Request) -> web.Response:
        """POST and PATCH. Only the Change API says which fields it ignored, and it never answers 201."""
        values, new, change = await _values(request), request.method == "POST", "api" not in request.match_info
        row = self._new(request, values) if new else self.row(request)
        before, locked = row.get("state", ""), DOCUMENT["locked"][row["type"]] if new and change else []
        ignored = assign(row, values, locked)
        self.save(row, before)
        result = self._shape(request, row)
        if change:
            return web.json_response({"result": result | {"__meta": {"ignoredFields": ignored}}})
        headers = {"Location": f"https://{request.host}{request.path}/{row['sys_id']}"} if new else None
        return web.json_response({"result": result}, status=201 if new else 200, headers=headers)

    def _new(self, request: web.Request, values: dict[str, Any]) -> Row:
        """What a POST begins with: defaults, the values of a template, or the configuration item of that name."""
        table = request.match_info.get("table", CHANGE)
        if request.match_info.get("api") == CMDB:
            if not (name := str(values.get("name") or "").replace("^", "^^")):
                raise Refused(400, "MISSING_MATCHING_ATTRIBUTES", "The class is identified by name")
            return next(iter(self.find(table, f"sys_class_name={table}^name={name}")), blank(table))
        if "template" not in request.match_info:
            return blank(table)
        template = self.get("std_change_record_producer", request.match_info["template"])
        copied = {name: template[name] for name in ("short_description", "description")}
        return blank(table) | copied | {"type": "standard", "std_change_producer_version": template["sys_id"]}

    def _shape(self, request: web.Request, row: Row) -> dict[str, Any]:
        api, bare = request.match_info.get("api"), request.query.get("sysparm_exclude_reference_link") == "true"
        cells = {name: self.cell(row, name) for name in columns(row["sys_class_name"])}
        if api is None:
            return {name: {part: cell[part] for part in ("display_value", "value")} for name, cell in cells.items()}
        linked = {name: cell for name, cell in cells.items() if "link" in cell and not bare}
        if api == CMDB:
            return {"attributes": row | linked, "inbound_relations": [], "outbound_relations": []}
        short = row | {name: {"link": cell["link"], "value": cell["value"]} for name, cell in linked.items()}
        if request.query.get("sysparm_display_value") == "true":
            short = {name: cell["display_value"] for name, cell in cells.items()}
        wanted = request.query.get("sysparm_fields", ",".join(cells)).split(",")
        for reference, _, name in (field.partition(".") for field in wanted):
            if name and (other := self.store.get(f"record/{row[reference]}")):  # a field of what a field refers to
                short[f"{reference}.{name}"] = other.get(name, "")
        return {name: short[name] for name in wanted if name in short}


async def _values(request: web.Request) -> dict[str, Any]:
    """The fields to set; the Change API takes them from the query too, its body goes first."""
    body = await body_of(request)
    if request.match_info.get("api") != CMDB:
        return body if "api" in request.match_info else dict(request.query) | body
    if body.get("source") not in DOCUMENT["sources"]:
        raise Refused(400, "Invalid source", f"{body.get('source')} is no choice of discovery_source")
    return dict(body.get("attributes", {}), discovery_source=body["source"])
