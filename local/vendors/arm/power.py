"""Starting and stopping servers and clusters.

https://learn.microsoft.com/rest/api/postgresql/servers/stop, https://learn.microsoft.com/rest/api/aks/managed-clusters/stop
"""

from typing import TYPE_CHECKING

from aiohttp import web

from .errors import ArmError
from .estate import Estate
from .ids import ResourceId
from .lists import page

if TYPE_CHECKING:
    from .api import Api

SERVER, CLUSTER = "microsoft.dbforpostgresql/flexibleservers", "microsoft.containerservice/managedclusters"
TURNS = {f"{kind}/{verb}" for kind in (SERVER, CLUSTER) for verb in ("start", "stop")} | {f"{SERVER}/restart"}


def answer_collection(api: "Api", estate: Estate, target: ResourceId, request: web.Request) -> web.Response:
    """A path without a name: a list, or an action."""
    if request.method == "POST" and target.type.lower() in TURNS:
        return turn(api, estate, target, request)
    if request.method != "GET":
        raise ArmError(405, "HttpMethodNotSupported", f"{request.method} is not supported at '{request.path}'.")
    return web.json_response(page(estate, target, request))


def turn(api: "Api", estate: Estate, target: ResourceId, request: web.Request) -> web.Response:
    """The resource is what was asked for when the answer arrives; the operation that it names ends a moment later."""
    resource = estate.get(target.scope)
    if resource is None:
        raise ArmError(404, "ResourceNotFound", f"The Resource '{target.scope}' was not found.")
    api.locked(target.scope, "write", levels=("ReadOnly",))
    started = not target.type.lower().endswith("/stop")
    if resource["type"].lower() == SERVER:
        state: dict[str, object] = {"state": "Ready" if started else "Stopped"}
    else:
        state = {"powerState": {"code": "Running" if started else "Stopped"}}
    estate.put({**resource, "properties": {**resource["properties"], **state}})
    return web.Response(status=202, headers=api.begin("put", target.scope, 0.2, request))
