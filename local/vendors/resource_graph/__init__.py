"""Stand-in for Azure Resource Graph: a query over the estate of the stand-in for Azure Resource Manager.

https://learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources
https://learn.microsoft.com/azure/governance/resource-graph/concepts/guidance-for-throttled-requests
"""

import base64
import json
import time
import uuid
from collections import deque
from typing import Any

from aiohttp import web

from local.vendors.kernel import MUTATING, Kernel, Vendor
from local.vendors.kernel.vendor import host_of

from .query import BadQuery, Row, parse

HOST = "management.azure.com"
PATH = "/providers/microsoft.resourcegraph/resources"
AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
LIMIT = {"calls": 15, "seconds": 5.0}
PAGE = 1000


def build(kernel: Kernel) -> Vendor:
    return Vendor("resource_graph", (), [web.post("/{path:.*}", Graph(kernel).handle)], takes=takes)


def takes(request: web.Request) -> bool:
    """The one call below a host that Resource Manager answers for."""
    return host_of(request) == HOST and request.path.lower().rstrip("/") == PATH


class Graph:
    """The index: the estate of Resource Manager, and what somebody put there.

    Documents `row/<anything>` are rows that the estate does not have; `hidden` lists ids that the index does not have
    yet; `settings/page` and `settings/limit` are page size and quota, `settings/says` parts of the answer.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._store = kernel.store("resource_graph")
        self._calls: deque[float] = deque()

    async def handle(self, request: web.Request) -> web.Response:
        request[MUTATING] = False
        response = await self._answer(request)
        response.headers["x-ms-request-id"] = str(uuid.uuid4())
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        if not self._admitted(request):
            return _refused(401, "InvalidAuthenticationToken", "The access token is invalid.")
        if "api-version" not in request.query:
            return _refused(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        left, resets = self._quota()
        headers = {"x-ms-user-quota-remaining": str(max(left, 0)), "x-ms-user-quota-resets-after": f"00:00:{resets:02}"}
        if left < 0:
            message = "Client application has been throttled and should not attempt to repeat the request until an"
            return _refused(429, "RateLimiting", f"{message} amount of time has elapsed.", headers)
        try:
            body = await request.json()
            return web.json_response(self._page(self._rows(body), body.get("options") or {}), headers=headers)
        except (BadQuery, ValueError) as error:
            return _refused(400, "BadRequest", f"Please provide below info when asking for support: {error}", headers)

    def _admitted(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            audience = str(self._kernel.vendor("entra").verify(token)["aud"])
        except ValueError:
            return False
        return scheme.lower() == "bearer" and audience.rstrip("/") in AUDIENCES

    def _quota(self) -> tuple[int, int]:
        """Calls that are left, negative when this one is too many, and the seconds until there are more."""
        limit = self._store.get("settings/limit") or LIMIT
        now = time.monotonic()
        while self._calls and self._calls[0] <= now - limit["seconds"]:
            self._calls.popleft()
        left = int(limit["calls"]) - len(self._calls) - 1
        if left >= 0:
            self._calls.append(now)
        return left, max(1, round(self._calls[0] + limit["seconds"] - now + 0.5)) if self._calls else 1

    def _rows(self, body: dict[str, Any]) -> list[Row]:
        query = parse(str(body.get("query", "")))
        estate, subscriptions = (
            self._kernel.vendor("arm"),
            [str(item).lower() for item in body.get("subscriptions", [])],
        )
        hidden = {str(item).lower() for item in self._store.get("hidden") or []}
        found = [item for name in subscriptions for item in estate.resources(f"/subscriptions/{name}")]
        rows = query.rows([item for item in found if item["id"].lower() not in hidden])
        return rows + [row for _, row in self._store.list("row/")]

    def _page(self, rows: list[Row], options: dict[str, Any]) -> dict[str, Any]:
        if options.get("resultFormat") != "objectArray":
            raise BadQuery("the stand-in answers in the format objectArray")
        size = min(int(options.get("$top", 100)), int((self._store.get("settings/page") or {}).get("size", PAGE)))
        start = int(json.loads(base64.b64decode(options["$skipToken"]))["start"]) if "$skipToken" in options else 0
        page = rows[start : start + size]
        answer: dict[str, Any] = {
            "totalRecords": len(rows),
            "count": len(page),
            "data": page,
            "facets": [],
            "resultTruncated": "false",
        }
        if start + size < len(rows):
            answer["$skipToken"] = base64.b64encode(json.dumps({"start": start + size}).encode()).decode()
        return answer | (self._store.get("settings/says") or {})


def _refused(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)
