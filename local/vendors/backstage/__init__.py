"""Backstage: the software catalog and the scaffolder of a backend, without its pages.

https://backstage.io/docs/auth/service-to-service-auth/#jwks-token-auth
"""

import json
from contextlib import suppress

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor
from local.vendors.kernel.faults import Handler

from .catalog import Catalog
from .reading import SAID, Refused
from .scaffolder import Scaffolder

# As in infra/backstage/app-config.appstore.yaml: audience of a token -> plugins that it may call.
ACCESS = {"api://backstage-catalog": ("catalog",), "api://backstage-scaffolder": ("scaffolder", "catalog")}


def build(kernel: Kernel) -> Vendor:
    """One backend that reads the organisation's repositories at GitHub."""
    catalog = Catalog(kernel)
    scaffolder = Scaffolder(kernel, catalog)
    calls = [
        ("POST", "catalog/locations", catalog.create_location),
        ("GET", "catalog/locations", catalog.list_locations),
        ("DELETE", "catalog/locations/{id}", catalog.delete_location),
        ("GET", "catalog/entities/by-query", catalog.query_entities),
        ("POST", "catalog/entities/by-refs", catalog.find_entities),
        ("POST", "scaffolder/v2/tasks", scaffolder.create_task),
        ("GET", "scaffolder/v2/tasks", scaffolder.list_tasks),
        ("GET", "scaffolder/v2/tasks/{id}", scaffolder.read_task),
        ("GET", "scaffolder/v2/tasks/{id}/events", scaffolder.list_events),
        ("POST", "scaffolder/v2/tasks/{id}/cancel", scaffolder.cancel_task),
    ]
    routes = [web.route(method, f"/api/{path}", _guarded(kernel, handler)) for method, path, handler in calls]
    return Vendor("backstage", ("backstage.contoso.com",), routes, scaffolder, start=catalog.seed)


def _guarded(kernel: Kernel, handler: Handler) -> Handler:
    """A handler that demands a token of Entra ID for its plugin, and refuses in the backend's shape."""

    async def run(request: web.Request) -> web.StreamResponse:
        plugin, _, rest = request.path_qs.removeprefix("/api/").partition("/")
        try:
            _authorise(kernel, request, plugin)
            return await handler(request)
        except json.JSONDecodeError as error:
            name, message = "InputError", str(error)
        except Refused as refused:
            name, message = refused.args
        status = SAID["status"][name]
        called = {"request": {"method": request.method, "url": f"/{rest}"}, "response": {"statusCode": status}}
        return web.json_response({"error": {"name": name, "message": message}} | called, status=status)

    return run


def _authorise(kernel: Kernel, request: web.Request, plugin: str) -> None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Refused("AuthenticationError", "Missing credentials")
    plugins: tuple[str, ...] = ()
    with suppress(ValueError):
        plugins = ACCESS.get(kernel.vendor("entra").verify(token)["aud"], ())
    if not plugins:
        raise Refused("AuthenticationError", "Illegal token")
    if plugin not in plugins:
        names = ", ".join(f"'{name}'" for name in plugins)
        raise Refused("NotAllowedError", f"This token's access is restricted to plugin(s) {names}")
