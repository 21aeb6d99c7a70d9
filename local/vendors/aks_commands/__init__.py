"""Stand-in for `az aks command invoke`: kubectl inside a cluster by way of Azure Resource Manager.

https://learn.microsoft.com/rest/api/aks/managed-clusters/run-command
"""

import copy
import json
import re
import shlex
import uuid
from typing import Any

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor
from local.vendors.kubernetes.cluster import Place

BASE = "https://management.azure.com"
CLUSTER = r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.containerservice/managedclusters/([^/]+)"
VERBS = (["patch", "deployment"], ["scale", "deployment"], ["get", "deployment"])
CALLS = re.compile(rf"{CLUSTER}/(runcommand|commandresults/[0-9a-f]+)", re.IGNORECASE)


class Refused(Exception):  # noqa: N818 -- what kubectl prints, not an error of the stand-in
    """The command fails with this text."""


def build(kernel: Kernel) -> Vendor:
    store = kernel.store("aks_commands")

    async def handle(request: web.Request) -> web.Response:
        cluster = request.path.split("/")[8]
        token = request.headers.get("Authorization", "").partition(" ")[2]
        try:
            kernel.vendor("entra").verify(token)
        except ValueError as error:
            return _error(401, "InvalidAuthenticationToken", str(error))
        if kernel.vendor("arm").resource("/".join(request.path.split("/")[:9])) is None:
            return _error(404, "ResourceNotFound", f"The Resource managedClusters/{cluster} was not found.")
        if request.method == "GET":
            found = store.get(request.path.rpartition("/")[2])
            return web.json_response(found) if found else _error(404, "NotFound", "There is no such command.")
        if request.method != "POST":
            return _error(405, "HttpMethodNotSupported", f"{request.method} is not supported here.")
        command = str((await request.json()).get("command", ""))
        name = uuid.uuid4().hex
        store.put(name, await _run(kernel, cluster, command, name))
        place = f"{BASE}{request.path.rpartition('/')[0]}/commandResults/{name}?{request.query_string}"
        return web.Response(status=202, headers={"Location": place, "Retry-After": "0"})

    return Vendor(
        name="aks_commands",
        hosts=(),
        routes=[web.route("*", "/{path:.*}", handle)],
        takes=lambda request: request.host == "management.azure.com" and bool(CALLS.fullmatch(request.path)),
    )


async def _run(kernel: Kernel, cluster: str, command: str, name: str) -> dict[str, Any]:
    try:
        code, logs = 0, await _kubectl(kernel, cluster, shlex.split(command))
    except Refused as error:
        code, logs = 1, str(error)
    result = {"provisioningState": "Succeeded", "exitCode": code, "logs": f"{logs}\n", "reason": ""}
    return {"id": name, "properties": result}


async def _kubectl(kernel: Kernel, cluster: str, words: list[str]) -> str:
    """`kubectl patch|scale|get deployment NAME -n NAMESPACE ...`: what the product sends, and nothing else."""
    options = dict(zip(words[4::2], words[5::2], strict=False))
    if words[:1] != ["kubectl"] or words[1:3] not in VERBS:
        raise Refused(f"error: unknown command {' '.join(words[:3])!r}")
    clusters, place = kernel.vendor("kubernetes"), (words[3], options.get("-n", "default"))
    found = [
        manifest for where, manifest in clusters.objects(cluster, place[1], "Deployment") if where.name == place[0]
    ]
    if not found:
        raise Refused(f'Error from server (NotFound): deployments.apps "{place[0]}" not found')
    if words[1] == "get":
        return str(found[0].get("spec", {}).get("replicas", 1))
    patch = json.loads(options["-p"]) if words[1] == "patch" else {"spec": {"replicas": int(options["--replicas"])}}
    changed = _merged(copy.deepcopy(found[0]), patch)
    where = Place(cluster, place[1], place[0])
    kernel.store("kubernetes").put(where.key("Deployment"), changed)
    if words[1] == "patch":  # kubectl does not wait for the rollout
        kernel.spawn(clusters.bring_up(where, changed), f"deployment {place[1]}/{place[0]}")
    done = "scaled" if words[1] == "scale" else "patched" if changed != found[0] else "patched (no change)"
    return f"deployment.apps/{place[0]} {done}"


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396)."""
    for key, value in new.items():
        if value is None:
            old.pop(key, None)
        elif isinstance(value, dict):
            old[key] = _merged(dict(old.get(key) or {}), value)
        else:
            old[key] = value
    return old


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
