"""Azure Resource Manager over HTTP: one route, dispatched by what the path names."""

import json
import re
import time
import uuid
from typing import Any

from aiohttp import web

from local.vendors.deployment_stacks.stacks import PROVIDER, answer_stack
from local.vendors.kernel import MUTATING, Kernel
from local.vendors.service_bus_namespaces import keys as service_bus
from local.vendors.storage import keys as storage

from .errors import ArmError, bad_request, conflict
from .estate import Estate, Resource, visible
from .gate import Gate
from .ids import ResourceId, parse
from .metrics import METRICS_SUFFIX, answer_metrics
from .power import answer_collection
from .rules import SLOW, shape
from .tags import TAGS_SUFFIX, answer_tags
from .vaults import answer_deleted_vaults

HOST = "https://management.azure.com"
LOCK = "microsoft.authorization/locks"
KEY_CALLS = dict.fromkeys(storage.KEY_CALLS, storage.answer_keys) | dict.fromkeys(
    service_bus.KEY_CALLS, service_bus.answer_keys
)
# What is a scope and no resource: a Kubernetes namespace (of role assignments), the blob service (of containers).
NO_RESOURCE = re.compile(r"(?<=/managedclusters/)([^/]+)/namespaces/[^/]+$|/blobservices/default$", re.IGNORECASE)


class Api:
    def __init__(self, kernel: Kernel, estate: Estate) -> None:
        self._kernel = kernel
        self._estate = estate
        self._gate = Gate(kernel, estate.store)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {"x-ms-request-id": str(uuid.uuid4()), "x-ms-correlation-request-id": str(uuid.uuid4())}
        try:
            parts = request.path.split("/")
            headers |= self._gate.admit(request, parts[2] if len(parts) > 2 else "")
            body, stack = await _body(request), PROVIDER.fullmatch(request.path)
            response = answer_stack(self, self._estate, request, stack, body) if stack else self._answer(request, body)
        except ArmError as error:
            response = error.response()
        response.headers.update(headers)
        self._tell(request, response)
        return response

    def _tell(self, request: web.Request, response: web.StreamResponse) -> None:
        target = parse(request.path.rstrip("/"))
        try:
            events = self._kernel.vendor("event_grid")
        except LookupError:  # a run of only some stand-ins
            return
        events.answered(request, target.type if target else "", response)

    def _answer(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        path = request.path.rstrip("/")
        for name, answer in (("operationStatuses", self._status), ("operationResults", self._result)):
            if f"/{name}/" in path:
                return answer(path.rpartition("/")[2])
        if "/deletedVaults" in path:
            return answer_deleted_vaults(self, self._estate, request)
        if path.lower().endswith(TAGS_SUFFIX):
            return answer_tags(self._estate, self.locked, request.method, path[: -len(TAGS_SUFFIX)], body)
        if path.lower().endswith(METRICS_SUFFIX):
            return answer_metrics(self._estate, path[: -len(METRICS_SUFFIX)], request)
        target = parse(path)
        if target is None:
            raise ArmError(404, "InvalidResourceType", f"No resource can be read from the path '{path}'.")
        self._require_subscription(target)
        if target.is_collection:
            self._require_group(target)
            return self._keys(target, request, body) or answer_collection(self, self._estate, target, request)
        actions = {"GET": self._get, "HEAD": self._head, "PUT": self.put, "PATCH": self._patch, "DELETE": self.delete}
        if request.method not in actions:
            raise ArmError(501, "NotImplemented", f"The stand-in has no {request.method} at '{path}'.")
        return actions[request.method](target, request, body)

    def _keys(self, target: ResourceId, request: web.Request, body: dict[str, Any]) -> web.Response | None:
        answer = KEY_CALLS.get(target.type.lower())
        if request.method != "POST" or answer is None:
            return None
        self.locked(target.scope, "write", levels=("ReadOnly",))
        self._existing(parse(target.scope) or target)
        return answer(self._estate.store, target.scope, request, body)

    def _require_subscription(self, target: ResourceId) -> None:
        if self._estate.get(f"/subscriptions/{target.subscription}") is None:
            code, name = "SubscriptionNotFound", target.subscription
            raise ArmError(404, code, f"The subscription '{name}' could not be found.")

    def _existing(self, target: ResourceId) -> Resource:
        """Read a resource.

        Raises:
            ArmError: 404 in ARM's three ways (no group, no parent, no resource).
        """
        found = self._estate.get(target.path)
        if found is not None:
            return found
        self._require_group(target)
        group = target.group_path.rpartition("/")[2]
        if target.is_group:
            raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{target.name}' could not be found.")
        what = f"The Resource '{target.type}/{target.name}' under resource group '{group}' was not found."
        raise ArmError(
            404, "ResourceNotFound", f"{what} For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        )

    def _require_group(self, target: ResourceId) -> None:
        path = target.group_path
        group = None if target.is_group else path and self._estate.get(path)
        if path and not target.is_group and group is None:
            name = path.rpartition("/")[2]
            raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")

    def _get(self, target: ResourceId, _request: web.Request, _body: dict[str, Any]) -> web.Response:
        return web.json_response(visible(self._existing(target)))

    def _head(self, target: ResourceId, _request: web.Request, _body: dict[str, Any]) -> web.Response:
        return web.Response(status=204 if self._estate.get(target.path) else 404)

    def put(self, target: ResourceId, request: web.Request, body: dict[str, Any]) -> web.Response:
        before = self._estate.get(target.path)
        self._check_conditions(request, before)
        self._check_place(target, body, before)
        if not target.is_type("Microsoft.Authorization/locks"):
            self.locked(target.path, "write", levels=("ReadOnly",))
        resource = {**body, "id": target.path, "name": target.name, "type": target.type}
        resource["properties"] = dict(body.get("properties") or {})
        if before is not None:
            resource |= {"id": before["id"], "name": before["name"]}
        return self._write(target, request, resource, before)

    def _patch(self, target: ResourceId, request: web.Request, body: dict[str, Any]) -> web.Response:
        before = self._existing(target)
        self._check_conditions(request, before)
        self.locked(target.path, "write", levels=("ReadOnly",))
        properties = _merge(before["properties"], body.get("properties") or {})
        return self._write(target, request, {**before, **body, "properties": properties}, before)

    def _write(
        self, target: ResourceId, request: web.Request, resource: Resource, before: Resource | None
    ) -> web.Response:
        shape(self._estate, target, resource, before)
        seconds = self._seconds(target) if not target.is_group else 0
        resource["properties"]["provisioningState"] = (
            "Succeeded" if not seconds else "Creating" if before is None else "Updating"
        )
        self._estate.put(resource)
        headers = self.begin("put", target.path, seconds, request) if seconds else {}
        return web.json_response(visible(resource), status=201 if before is None else 200, headers=headers)

    def delete(self, target: ResourceId, request: web.Request, _body: dict[str, Any]) -> web.Response:
        before = self._existing(target) if target.is_group else self._estate.get(target.path)
        if before is None:
            self._require_group(target)
            request[MUTATING] = False
            return web.Response(status=204)
        self._check_conditions(request, before)
        if target.type.lower() != LOCK:
            self.locked(target.path, "delete", below=True)
        seconds = self._seconds(target)
        if not seconds:
            self._estate.remove(target.path)
            return web.Response(status=200)
        self._estate.put({**before, "properties": {**before["properties"], "provisioningState": "Deleting"}})
        return web.Response(status=202, headers=self.begin("delete", target.path, seconds, request))

    def begin(self, action: str, resource: str, seconds: float, request: web.Request) -> dict[str, str]:
        """Start a long-running operation; the headers by which the caller follows it."""
        operation = self._estate.begin(action, resource, seconds)
        subscription = request.path.split("/")[2]
        place = f"{HOST}/subscriptions/{subscription}/providers/Microsoft.Resources/locations/westeurope"
        query = f"?api-version={request.query['api-version']}"
        return {
            "Azure-AsyncOperation": f"{place}/operationStatuses/{operation}{query}",
            "Location": f"{place}/operationResults/{operation}{query}",
            "Retry-After": "1",
        }

    def _status(self, name: str) -> web.Response:
        operation = self._operation(name)
        done = operation["until"] <= time.time()
        status = "Succeeded" if done else "InProgress"
        headers = {} if done else {"Retry-After": "1"}
        return web.json_response({"name": name, "status": status}, headers=headers)

    def _result(self, name: str) -> web.Response:
        operation = self._operation(name)
        if operation["until"] > time.time():
            return web.Response(status=202, headers={"Retry-After": "1"})
        resource = self._estate.get(operation["resource"])
        return web.json_response(visible(resource)) if resource else web.Response(status=204)

    def _operation(self, name: str) -> dict[str, Any]:
        operation = self._estate.operation(name)
        if operation is None:
            raise ArmError(404, "OperationNotFound", f"The operation '{name}' could not be found.")
        return operation

    def _seconds(self, target: ResourceId) -> float:
        delays = self._estate.store.get("settings/delays") or {}
        return float(delays.get(target.type, SLOW.get(target.type.lower(), 0.0)))

    def locked(self, path: str, operation: str, levels: tuple[str, ...] = (), *, below: bool = False) -> None:
        """Refuse when a lock on the resource, above it or (for removals) below it forbids the operation."""
        for lock in self._estate.of_type(LOCK):
            scope, key = lock["id"].lower().rpartition("/providers/")[0], path.lower()
            hit = f"{key}/".startswith(f"{scope}/") or (below and scope.startswith(f"{key}/"))
            if hit and (not levels or lock["properties"].get("level") in levels):
                raise conflict(
                    "ScopeLocked",
                    f"The scope '{path}' cannot perform {operation} operation because following scope(s) are locked: "
                    f"'{scope}'. Please remove the lock and try again.",
                )

    def _check_conditions(self, request: web.Request, before: Resource | None) -> None:
        etag = before.get("etag") if before else None
        if request.headers.get("If-None-Match") == "*" and before is not None:
            message = f"The condition '*' in the If-None-Match header was not satisfied. The current was '{etag}'."
            raise ArmError(412, "PreconditionFailed", message)
        wanted = request.headers.get("If-Match", "")
        if wanted and (before is None or wanted not in ("*", etag)):
            message = f"The condition '{wanted}' in the If-Match header was not satisfied. The current was '{etag}'."
            raise ArmError(412, "PreconditionFailed", message)

    def _check_place(self, target: ResourceId, body: dict[str, Any], before: Resource | None) -> None:
        """Group, parent and location must fit."""
        self._require_group(target)
        holder = self._estate.get(target.group_path) if target.group_path and not target.is_group else before
        if holder and holder["properties"].get("provisioningState") == "Deleting":
            code = "ResourceGroupBeingDeleted" if holder is not before else "Conflict"
            raise conflict(code, f"'{holder['name']}' is being deleted and cannot be written.")
        parent = NO_RESOURCE.sub(lambda found: found[1] or "", target.scope)
        if parent.count("/") > 4 and self._estate.get(parent) is None:
            message = f"Can not perform requested operation on nested resource. Parent resource '{parent}' not found."
            raise ArmError(404, "ParentResourceNotFound", message)
        location = str(body.get("location", "")).replace(" ", "").lower()
        if before and location and location != str(before.get("location", location)).lower():
            code = "InvalidResourceGroupLocation" if target.is_group else "InvalidResourceLocation"
            raise conflict(code, f"'{target.name}' already exists in location '{before['location']}'.")
        if target.is_group and not location:
            raise bad_request("LocationRequired", "The location property is required for this definition.")


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = {
        k: _merge(old[k], v) if isinstance(v, dict) and isinstance(old.get(k), dict) else v for k, v in new.items()
    }
    return {**old, **merged}


async def _body(request: web.Request) -> dict[str, Any]:
    text = await request.text()
    if not text:
        if request.method in ("PUT", "PATCH") and "/backups/" not in request.path:
            raise bad_request("MissingRequestBody", "The request body is missing.")
        return {}
    try:
        body = json.loads(text)
    except ValueError as error:
        message = f"The request content was invalid and could not be deserialized: '{error}'."
        raise bad_request("InvalidRequestContent", message) from error
    if not isinstance(body, dict):
        raise bad_request("InvalidRequestContent", "The request content must be an object.")
    return body
