"""The HTTP front end: functions by route, webhooks of extensions, admin API and home page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from local.host import routing
from local.host.admin import Admin
from local.host.errors import FunctionError, WorkerLostError
from local.host.extensions import Extension, Services
from local.host.frames import EMPTY, Value
from local.host.functions import Function
from local.host.invoker import Result
from local.host.keys import Keys
from local.host.routing import Route

_WEBHOOKS = "/runtime/webhooks/"
_CONNECTION_HEADERS = {"content-length", "transfer-encoding", "connection", "keep-alive"}
_HOME = "Your Functions 4.0 app is up and running"


@dataclass(frozen=True)
class _Endpoint:
    route: Route
    methods: frozenset[str]
    function: Function


class Front:
    """Answers every request of the public port."""

    def __init__(self, services: Services, extensions: Mapping[str, Extension], admin: Admin, keys: Keys) -> None:
        self._services, self._extensions, self._admin, self._keys = services, extensions, admin, keys
        self._home = services.environment.get("AzureWebJobsDisableHomepage", "").lower() != "true"
        endpoints = [self._endpoint(function) for function in services.of_kind("httpTrigger")]
        self._endpoints = sorted(endpoints, key=lambda endpoint: endpoint.route.precedence)

    def _endpoint(self, function: Function) -> _Endpoint:
        template = function.trigger.get("route")
        parts = (self._services.settings.route_prefix, (function.name if template is None else template).strip("/"))
        methods = frozenset(str(method).upper() for method in function.trigger.get("methods") or ())
        return _Endpoint(routing.parse("/".join(filter(None, parts))), methods, function)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path.startswith(_WEBHOOKS):
            return await self._webhook(request, path.removeprefix(_WEBHOOKS))
        if path.startswith("/admin/"):
            if not self._keys.allow(request, "admin"):
                return web.Response(status=401)
            return await self._admin.handle(request, path.removeprefix("/admin/").rstrip("/"))
        for endpoint in self._endpoints:
            values = endpoint.route.match(path)
            if values is not None and (not endpoint.methods or request.method in endpoint.methods):
                return await self._function(request, endpoint.function, values)
        if path == "/":
            return web.Response(text=_HOME) if self._home else web.Response(status=204)
        return web.Response(status=404)

    async def _webhook(self, request: web.Request, path: str) -> web.StreamResponse:
        name, _, rest = path.partition("/")
        extension = self._extensions.get(name.lower())
        if extension is None:
            return web.Response(status=404)
        if not self._keys.allow(request, "system"):
            return web.Response(status=401)
        return await extension.webhook(request, rest)

    async def _function(self, request: web.Request, function: Function, values: dict[str, str]) -> web.StreamResponse:
        if not self._keys.allow(request, str(function.trigger.get("authLevel") or "function").lower()):
            return web.Response(status=401)
        value: Value = ("http", await _to_worker(request, values))
        reason = "This function was programmatically called via the host APIs."
        try:
            result = await self._services.run(function, reason, value, request.headers.get("traceparent", ""))
        except FunctionError:
            return web.Response(status=500)
        except WorkerLostError:
            return web.Response(status=502)
        return _from_worker(_http_output(function, result))


async def _to_worker(request: web.Request, values: dict[str, str]) -> dict[str, Any]:
    """What the real host sends: lower-case headers, no empty query values, a body only with Content-Length."""
    body = await request.read() if request.content_length else b""
    headers = {name.lower(): ", ".join(request.headers.getall(name)) for name in request.headers}
    query = {name: ",".join(request.query.getall(name)) for name in request.query}
    return {
        "method": request.method,
        "url": f"{request.scheme}://{request.host}{request.raw_path}",
        "headers": headers,
        "query": {name: value for name, value in query.items() if value},
        "params": values,
        "body": ("bytes", body) if body else EMPTY,
    }


def _http_output(function: Function, result: Result) -> Value:
    names = [binding["name"] for binding in function.bindings if binding["type"] == "http"]
    named = [result.outputs[name] for name in names if name in result.outputs]
    return named[0] if named else result.returned


def _from_worker(value: Value) -> web.Response:
    kind, content = value
    if kind is None:
        return web.Response(status=200)
    if kind != "http":
        text = content.decode() if isinstance(content, bytes) else str(content)
        return web.Response(text=text, content_type="application/json" if kind == "json" else "text/plain")
    headers = {k: v for k, v in content["headers"].items() if k.lower() not in _CONNECTION_HEADERS}
    _, body = content["body"]
    raw = body.encode() if isinstance(body, str) else body
    response = web.Response(status=int(content["status"]), body=raw or b"", headers=headers)
    for cookie in content["cookies"]:
        response.headers.add("Set-Cookie", cookie)
    return response
