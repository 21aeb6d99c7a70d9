"""Deployment stacks of a subscription: what-if results, create or update, delete (api-version 2025-07-01).

https://learn.microsoft.com/rest/api/resources/deployment-stacks
"""

import re
import time
from typing import Any, Protocol

from aiohttp import web

from local.vendors.arm.errors import ArmError, bad_request, conflict
from local.vendors.arm.estate import Estate, Resource, iso, visible
from local.vendors.arm.ids import ResourceId, parse
from local.vendors.kernel import MUTATING

from .template import Document, Place, Planned, Template

PROVIDER = re.compile(
    r"(?P<id>/subscriptions/(?P<subscription>[^/]+)/providers/Microsoft\.Resources/"
    r"(?P<kind>deploymentStacks|deploymentStacksWhatIfResults)/(?P<name>[-\w._()]{1,90}))(?P<rest>/.*)?",
    re.IGNORECASE,
)
WHAT_IF_SECONDS, DEPLOY_SECONDS, DELETE_SECONDS = 0.2, 1.5, 1.0
HOST = "https://management.azure.com"


class Resources(Protocol):
    """What the rest of Azure Resource Manager does for a stack."""

    def put(self, target: ResourceId, request: web.Request, body: Document) -> web.Response: ...

    def delete(self, target: ResourceId, request: web.Request, body: Document) -> web.Response: ...


def answer_stack(
    api: Resources, estate: Estate, request: web.Request, found: re.Match[str], body: Document
) -> web.Response:
    stacks = _Stacks(api, estate, request, found)
    if (found["rest"] or "").startswith("/operationResults/"):
        return stacks.document(full=True)
    if found["rest"] == "/whatIf" and request.method == "POST":
        place = f"{HOST}{found['id']}/operationResults/1?api-version={request.query['api-version']}"
        stacks.document()
        return web.Response(status=202, headers={"Location": place, "Retry-After": "1"})
    if found["rest"] or request.method not in ("GET", "PUT", "DELETE"):
        raise ArmError(405, "HttpMethodNotSupported", f"{request.method} is not supported at '{request.path}'.")
    if request.method == "GET":
        return stacks.document()
    if request.method == "DELETE":
        return stacks.delete()
    return stacks.what_if(body) if found["kind"].lower().endswith("results") else stacks.deploy(body)


class _Stacks:
    def __init__(self, api: Resources, estate: Estate, request: web.Request, found: re.Match[str]) -> None:
        self._api, self._estate, self._request = api, estate, request
        self._id, self._name, self._subscription = found["id"], found["name"], found["subscription"]
        self._type = f"Microsoft.Resources/{found['kind']}"
        self._retry = {"Retry-After": "1"}

    def _stored(self, identity: str) -> Document | None:
        """A stack or what-if result as it is by now."""
        document: Document | None = self._estate.store.get(f"stack/{identity.lower()}")
        if document is None or time.time() < document["~until"]:
            return document
        if document["~then"] == "":
            self._estate.store.delete(f"stack/{identity.lower()}")
            return None
        document["properties"]["provisioningState"] = document["~then"]
        return document

    def document(self, *, full: bool = False) -> web.Response:
        document = self._stored(self._id)
        if document is None:
            kind = self._type.partition("/")[2][0].upper() + self._type.partition("/")[2][1:-1]
            raise ArmError(404, f"{kind}NotFound", f"The {kind} '{self._name}' could not be found.")
        shown = visible(document)
        if not full and "changes" in shown["properties"]:
            keep = [{**one, "resourceConfigurationChanges": None} for one in _changes(shown)]
            shown["properties"] = {**shown["properties"], "changes": {"resourceChanges": keep}}
        return web.json_response(shown)

    def _template(self, body: Document, *, live: bool) -> Template:
        properties = body.get("properties") or {}
        for name in ("actionOnUnmanage", "denySettings", "template"):
            if name not in properties:
                raise bad_request("InvalidDeploymentStackRequest", f"The property '{name}' is required.")
        template, given = properties["template"], properties.get("parameters", {})
        if unknown := given.keys() - template["parameters"].keys():
            names = ", ".join(sorted(unknown))
            raise bad_request("InvalidTemplate", f"The parameters '{names}' do not exist in the template.")
        needed = {n for n, item in template["parameters"].items() if not {"defaultValue", "nullable"} & item.keys()}
        if missing := needed - given.keys():
            names = ", ".join(sorted(missing))
            raise bad_request("InvalidTemplate", f"The value for the parameters '{names}' is not provided.")
        values = {name: item["value"] for name, item in given.items()}
        # A what-if never resolves reference(): https://aka.ms/WhatIfUnevaluatedExpressions
        return Template(template, values, Place(self._subscription), self._estate.get if live else lambda _: None)

    def what_if(self, body: Document) -> web.Response:
        template = self._template(body, live=False)
        stack = self._stored(body["properties"]["deploymentStackResourceId"])
        managed = {item["id"].lower() for item in stack["properties"]["resources"]} if stack else set()
        planned = list(template.resources())
        changes = [self._change(item, managed) for item in planned]
        kept = {item.id.lower() for item in planned if item.id}
        unresolved = any(item.id is None for item in planned)
        gone = [self._estate.get(name) for name in sorted(managed - kept)]
        changes += [_removal(one) for one in gone if one and not (unresolved and _nameless(one, planned))]
        return self._keep(body, {"changes": {"resourceChanges": changes}}, "running", "succeeded", WHAT_IF_SECONDS)

    def _change(self, item: Planned, managed: set[str]) -> Document:
        common = {"symbolicName": item.symbol, "type": item.type}
        if item.id is None:
            why = "The name holds an expression that is only known at deployment time."
            return {**common, "changeType": "unsupported", "changeCertainty": "potential", "unsupportedReason": why}
        before = self._estate.get(item.id)
        after = {"id": item.id, "name": item.id.rpartition("/")[2], "type": item.type, **item.body}
        kind = "create" if before is None else "noChange" if _holds(before, item.body) else "modify"
        status = {"before": "managed" if item.id.lower() in managed else "unmanaged", "after": "managed"}
        shown = visible(before) if before else None
        known = {"id": item.id, "managementStatusChange": status, "changeType": kind, "changeCertainty": "definite"}
        return {**common, **known, "resourceConfigurationChanges": {"before": shown, "after": after}}

    def deploy(self, body: Document) -> web.Response:
        template, before = self._template(body, live=True), self._stored(self._id)
        if before and time.time() < before["~until"]:
            state = before["properties"]["provisioningState"]
            raise conflict("DeploymentStackInNonTerminalState", f"The stack '{self._name}' is {state}.")
        made: list[str] = []
        result: Document = {"resources": made, "outputs": {}}
        then = "succeeded"
        try:
            for item in template.resources():
                self._api.put(_target(str(item.id)), self._request, item.body)
                made.append(str(item.id))
            result["outputs"] = template.outputs()
            old = [item["id"] for item in before["properties"]["resources"]] if before else []
            self._remove([one for one in old if one.lower() not in {name.lower() for name in made}])
        except ArmError as error:
            then = "failed"
            result["error"] = {"code": "DeploymentStackDeploymentFailed", "message": f"{error.code}: {error.message}"}
        result["resources"] = [{"id": name, "status": "managed", "denyStatus": "none"} for name in made]
        return self._keep(body, result, "deploying", then, DEPLOY_SECONDS)

    def _keep(self, body: Document, result: Document, now: str, then: str, seconds: float) -> web.Response:
        first = self._estate.store.get(f"stack/{self._id.lower()}") is None
        given = {key: value for key, value in body["properties"].items() if key != "template"}
        document = {
            "id": self._id,
            "name": self._name,
            "type": self._type,
            "location": body.get("location"),
            "tags": body.get("tags", {}),
            "~until": time.time() + seconds,
            "~then": then,
            "systemData": {"lastModifiedAt": iso(time.time())},
            "properties": {**given, **result, "provisioningState": now},
        }
        self._estate.store.put(f"stack/{self._id.lower()}", document)
        shown = visible({**document, "properties": {**document["properties"], "changes": None}})
        return web.json_response(shown, status=201 if first else 200, headers=self._retry)

    def delete(self) -> web.Response:
        document = self._stored(self._id)
        if document is None:
            self._request[MUTATING] = False
            return web.Response(status=204)
        then = ""
        if self._request.query.get("unmanageAction.Resources") == "delete":
            try:
                self._remove([item["id"] for item in document["properties"]["resources"]])
            except ArmError as error:
                then, code = "failed", "DeploymentStackDeleteResourcesFailed"
                document["properties"]["error"] = {"code": code, "message": f"{error.code}: {error.message}"}
        document |= {"~until": time.time() + DELETE_SECONDS, "~then": then}
        document["properties"]["provisioningState"] = "deleting"
        self._estate.store.put(f"stack/{self._id.lower()}", document)
        self._request[MUTATING] = True
        return web.Response(status=202, headers=self._retry)

    def _remove(self, names: list[str]) -> None:
        """What was made last goes first; what is gone with its parent is gone."""
        for name in reversed(names):
            if self._estate.get(name) is not None:
                self._api.delete(_target(name), self._request, {})


def _changes(document: Document) -> list[Document]:
    listed: list[Document] = document["properties"]["changes"]["resourceChanges"]
    return listed


def _nameless(resource: Resource, planned: list[Planned]) -> bool:
    """Whether a managed resource may be the one whose name is not known yet."""
    return any(item.id is None and item.type.lower() == resource["type"].lower() for item in planned)


def _removal(resource: Resource) -> Document:
    status = {"before": "managed", "after": "unmanaged"}
    known = {"id": resource["id"], "type": resource["type"], "managementStatusChange": status}
    changes = {"before": visible(resource), "after": None}
    return {**known, "changeType": "delete", "changeCertainty": "definite", "resourceConfigurationChanges": changes}


def _target(name: str) -> ResourceId:
    target = parse(name)
    if target is None:
        raise bad_request("InvalidTemplate", f"'{name}' is not the id of a resource.")
    return target


def _holds(there: Any, wanted: Any) -> bool:
    """Whether a resource has everything that is wanted; what is not known before the deployment does not count."""
    if isinstance(wanted, dict):
        lower = {key.lower(): value for key, value in there.items()} if isinstance(there, dict) else {}
        return all(_holds(lower.get(key.lower()), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        same = isinstance(there, list) and len(there) == len(wanted)
        return same and all(_holds(one, other) for one, other in zip(there, wanted, strict=True))
    if isinstance(wanted, str):
        return wanted.startswith("[") or str(there).lower() == wanted.lower()
    return bool(there == wanted)
