"""Microsoft Cost Management: the query of what was used, below a subscription of management.azure.com.

https://learn.microsoft.com/rest/api/cost-management/query/usage
https://learn.microsoft.com/azure/cost-management-billing/costs/manage-automation (limits)
"""

import re
import time
import uuid
from collections import defaultdict, deque
from typing import Any

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor
from local.vendors.kernel.vendor import host_of

from .usage import BadQuery, answer

HOST = "management.azure.com"
PATH = re.compile(r"/subscriptions/([0-9a-f-]{36})/providers/Microsoft\.CostManagement/query/?", re.IGNORECASE)
AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
LIMIT = {"calls": 12, "seconds": 10.0}  # query processing units of a tenant; every query costs one here
PAGE = 1000


def build(kernel: Kernel) -> Vendor:
    query = Query(kernel)
    return Vendor("cost_management", (), [web.post("/{path:.*}", query.handle)], takes=takes)


def takes(request: web.Request) -> bool:
    """The one call below a host that Resource Manager answers for."""
    return host_of(request) == HOST and PATH.fullmatch(request.path) is not None


class Query:
    """Usage is what somebody put there: documents `usage/<anything>`, see `usage.py`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._store = kernel.store("cost_management")
        self._calls: dict[str, deque[float]] = defaultdict(deque)

    async def handle(self, request: web.Request) -> web.Response:
        response = await self._answer(request)
        response.headers["x-ms-request-id"] = str(uuid.uuid4())
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        hit = PATH.fullmatch(request.path)
        subscription = hit[1].lower() if hit else ""
        refusal = self._refusal(request, subscription)
        if refusal is not None:
            return refusal
        everything = [item for _, items in self._store.list("usage/") for item in items]
        usage = [item for item in everything if item["subscription"] == subscription]
        if not usage:
            return web.Response(status=204)
        try:
            columns, rows = answer(await request.json(), usage)
        except (BadQuery, ValueError) as error:
            return _refused(400, "BadRequest", f"Invalid query definition: {error}")
        return web.json_response(self._page(request, subscription, columns, rows))

    def _refusal(self, request: web.Request, subscription: str) -> web.Response | None:
        if not self._admitted(request):
            return _refused(401, "InvalidAuthenticationToken", "The access token is invalid.")
        if "api-version" not in request.query:
            return _refused(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        if self._kernel.vendor("arm").resource(f"/subscriptions/{subscription}") is None:
            return _refused(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")
        wait = self._wait()
        return _throttled(wait) if wait else None

    def _admitted(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            audience = str(self._kernel.vendor("entra").verify(token)["aud"])
        except ValueError:
            return False
        return scheme.lower() == "bearer" and audience.rstrip("/") in AUDIENCES

    def _wait(self) -> int:
        """Seconds until the tenant may ask again; 0 when it may now."""
        limit = self._store.get("settings/limit") or LIMIT
        now, calls = time.monotonic(), self._calls["tenant"]
        while calls and calls[0] <= now - limit["seconds"]:
            calls.popleft()
        if len(calls) >= limit["calls"]:
            return max(1, round(calls[0] + limit["seconds"] - now + 0.5)) if calls else int(limit["seconds"])
        calls.append(now)
        return 0

    def _page(
        self, request: web.Request, subscription: str, columns: list[dict[str, str]], rows: list[list[Any]]
    ) -> dict[str, Any]:
        size = int((self._store.get("settings/page") or {}).get("size", PAGE))
        start = int(request.query.get("$skiptoken", "0"))
        more = str(request.url.update_query({"$skiptoken": start + size})) if start + size < len(rows) else None
        name = str(uuid.uuid4())
        return {
            "id": f"subscriptions/{subscription}/providers/Microsoft.CostManagement/query/{name}",
            "name": name,
            "type": "Microsoft.CostManagement/query",
            "location": None,
            "sku": None,
            "eTag": None,
            "properties": {"nextLink": more, "columns": columns, "rows": rows[start : start + size]},
        }


def _refused(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


def _throttled(seconds: int) -> web.Response:
    """No Retry-After: the service has header names of its own, one for each limit that was passed."""
    headers = {
        "x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after": str(seconds),
        "x-ms-ratelimit-microsoft.costmanagement-qpu-consumed": "1",
        "x-ms-ratelimit-microsoft.costmanagement-qpu-remaining": "QueriesPerHour:0,QueriesPerMin:0,QueriesPer10Sec:0",
    }
    return _refused(429, "429", "Too many requests. Please retry.", headers)
