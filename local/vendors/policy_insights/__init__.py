"""Stand-in for Azure Policy's insights: states of resources, and remediation tasks that change them.

https://learn.microsoft.com/rest/api/policy/policy-states, https://learn.microsoft.com/rest/api/policy/remediations
"""

import base64
import re
from typing import Any

from aiohttp import web
from yarl import URL

from local.vendors.kernel import MUTATING, Kernel, Vendor

PROVIDER = r"/providers/microsoft\.policyinsights"
STATES = re.compile(
    rf"(?P<group>/subscriptions/[^/]+/resourcegroups/[^/]+){PROVIDER}/policystates/latest/queryresults", re.IGNORECASE
)
TASK = re.compile(rf"(?P<scope>/subscriptions/.+){PROVIDER}/remediations/(?P<name>[^/]+)", re.IGNORECASE)
NOT_COMPLIANT = "complianceState eq 'NonCompliant'"
REMEDIABLE = ("modify", "deployifnotexists")
PAGE = 100
MOST = 500
LOOKS = 1  # so often a task is still at work when somebody looks

type Document = dict[str, Any]


def build(kernel: Kernel) -> Vendor:
    return Vendor("policy_insights", (), [web.route("*", "/{path:.*}", Insights(kernel).handle)], takes=takes)


def takes(request: web.Request) -> bool:
    """The calls below a host that Resource Manager answers for."""
    ours = STATES.fullmatch(request.path) or TASK.fullmatch(request.path)
    return request.host == "management.azure.com" and ours is not None


class Insights:
    """Documents `state/<anything>` are states, as somebody put them there; `settings/page` is the size of a page."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._store = kernel, kernel.store("policy_insights")

    async def handle(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").partition(" ")[2]
        try:
            self._kernel.vendor("entra").verify(token)
        except ValueError as error:
            return _error(401, "InvalidAuthenticationToken", str(error))
        request[MUTATING] = False
        if found := STATES.fullmatch(request.path):
            return self._states(request, found["group"])
        task = TASK.fullmatch(request.path)
        if task is None or request.method not in ("GET", "PUT"):
            return _error(405, "HttpMethodNotSupported", f"{request.method} is not supported here.")
        key = f"task/{request.path.lower()}"
        there: Document | None = self._store.get(key)
        if request.method == "PUT":
            return self._begin(request, key, task, there, (await request.json())["properties"])
        if there is None:
            return _error(404, "RemediationNotFound", f"The remediation '{task['name']}' was not found.")
        return web.json_response(self._advance(key, task["scope"], there))

    def _states(self, request: web.Request, group: str) -> web.Response:
        if request.method != "POST" or request.query.get("$filter") != NOT_COMPLIANT:
            return _error(400, "InvalidFilterInQueryString", "The stand-in knows one filter only.")
        found = [state for _, state in self._violations(group)]
        page = int(self._store.get("settings/page") or PAGE)
        start = int(base64.b64decode(request.query.get("$skiptoken", "MA==")))
        shown = found[start : start + page]
        answer: Document = {"@odata.count": len(shown), "value": [_visible(state) for state in shown]}
        if start + page < len(found):
            query = {**request.query, "$skiptoken": base64.b64encode(str(start + page).encode()).decode()}
            answer["@odata.nextLink"] = str(URL(f"https://management.azure.com{request.path}").with_query(query))
        return web.json_response(answer)

    def _violations(self, scope: str) -> list[tuple[str, Document]]:
        under = f"{scope}/".lower()
        return [
            (key, state)
            for key, state in self._store.list("state/")
            if f"{state['resourceId']}/".lower().startswith(under) and state["complianceState"] == "NonCompliant"
        ]

    def _begin(
        self, request: web.Request, key: str, task: re.Match[str], there: Document | None, wanted: Document
    ) -> web.Response:
        if there and there["properties"]["provisioningState"] == "Running":
            return _error(409, "RemediationInProgress", f"The remediation '{task['name']}' is in progress.")
        total = len(self._meant(task["scope"], wanted))
        status = {"totalDeployments": total, "successfulDeployments": 0, "failedDeployments": 0}
        properties = {**wanted, "provisioningState": "Running", "deploymentStatus": status}
        named = {"id": request.path, "name": task["name"], "type": "Microsoft.PolicyInsights/remediations"}
        self._store.put(key, made := {**named, "properties": properties, "~looks": LOOKS})
        request[MUTATING] = True
        return web.json_response(_visible(made), status=201)

    def _meant(self, scope: str, wanted: Document) -> list[tuple[str, Document]]:
        """The violations that a task is about."""
        reference = wanted.get("policyDefinitionReferenceId", "")
        found = [
            (key, state)
            for key, state in self._violations(scope)
            if state["policyAssignmentId"].lower() == wanted["policyAssignmentId"].lower()
            and state.get("policyDefinitionReferenceId", "") == reference
            and state["policyDefinitionAction"] in REMEDIABLE
        ]
        return found[:MOST]

    def _advance(self, key: str, scope: str, task: Document) -> Document:
        """A task that was looked at often enough has done its work: a state's `~after` becomes tags of its resource."""
        properties = task["properties"]
        if task["~looks"]:
            task["~looks"] -= 1
        elif properties["provisioningState"] == "Running":
            meant = self._meant(scope, properties)
            failed = sum(bool(state.get("~fails")) for _, state in meant)
            for place, state in meant:
                if not state.get("~fails"):
                    self._kernel.vendor("arm").merge_tags(state["resourceId"], state.get("~after", {}))
                    self._store.put(place, {**state, "complianceState": "Compliant"})
            counts = {"successfulDeployments": len(meant) - failed, "failedDeployments": failed}
            properties["deploymentStatus"] = {"totalDeployments": len(meant), **counts}
            properties["provisioningState"] = "Failed" if failed else "Succeeded"
        self._store.put(key, task)
        return _visible(task)


def _visible(document: Document) -> Document:
    return {name: value for name, value in document.items() if not name.startswith("~")}


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
