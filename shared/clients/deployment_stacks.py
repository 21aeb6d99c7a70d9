"""Azure Deployment Stacks at a subscription: what-if, create or update, delete.

Documentation: https://learn.microsoft.com/rest/api/resources/deployment-stacks and
https://learn.microsoft.com/rest/api/resources/deployment-stacks-what-if-results-at-subscription
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from shared.clients._arm import BASE, arm
from shared.clients._http import Answer, Call
from shared.errors import ConflictError, PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.guard import Permit
from shared.models import Model

API_VERSION = "2025-07-01"
_INTEGRATION = "azure deployment stacks"
_POLLS = 60
_LONGEST_PAUSE = 15.0
# What falls out of the template is deleted, as Terraform would; nobody is locked out of what the stack made.
_ON_UNMANAGE = {"resources": "delete", "resourceGroups": "delete", "managementGroups": "detach"}
_DENY = {"mode": "none", "applyToChildScopes": False}
_KEPT_FOR = "P7D"


_ARM = arm(_INTEGRATION)


@dataclass(frozen=True)
class Deployment:
    """What is deployed: a template with its parameters, in a region, with tags on the stack itself."""

    location: str
    template: dict[str, Any]
    parameters: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)


class Managed(Model):
    """A resource that the stack manages."""

    id: str


class Problem(Model):
    """Why a stack failed, in Azure's words."""

    code: str | None = None
    message: str | None = None


class Properties(Model):
    """State of a stack or of a what-if result."""

    provisioning_state: str
    resources: list[Managed] = []
    outputs: dict[str, dict[str, Any]] | None = None
    error: Problem | None = None


class Stack(Model):
    """A stack, or a what-if result."""

    id: str
    tags: dict[str, str] | None = None
    properties: Properties

    @property
    def state(self) -> str:
        """succeeded, failed, canceled, or something that is under way."""
        return self.properties.provisioning_state.lower()

    @property
    def ended(self) -> bool:
        """Whether nothing is under way."""
        return self.state in ("succeeded", "failed", "canceled")


class _Changes(Model):
    resource_changes: list[dict[str, Any]]


class _WhatIfProperties(Model):
    changes: _Changes


class _WhatIf(Model):
    properties: _WhatIfProperties


def stack_id(subscription: str, name: str) -> str:
    """ARM id of a stack."""
    return f"/subscriptions/{subscription}/providers/Microsoft.Resources/deploymentStacks/{name}"


def what_if_id(subscription: str, name: str) -> str:
    """ARM id of a what-if result."""
    return f"/subscriptions/{subscription}/providers/Microsoft.Resources/deploymentStacksWhatIfResults/{name}"


async def read(place: str) -> Stack | None:
    """A stack or what-if result by its ARM id, or None."""
    call = Call("get deployment stack", "GET", place, params={"api-version": API_VERSION}, expect=(200, 404))
    answer = await _ARM.call(call)
    return None if answer.status == 404 else _shaped(call, answer, place)  # noqa: PLR2004 - HTTP status


async def put_what_if(place: str, stack: str, deployment: Deployment) -> None:
    """Have the changes worked out that a deployment would make to a stack; the result is kept for a week."""
    more = {"deploymentStackResourceId": stack, "retentionInterval": _KEPT_FOR}
    await _put("create what-if result", place, _body(deployment, more))


async def put_stack(stack: str, deployment: Deployment) -> None:
    """Create or update a stack; it is under way afterwards."""
    await _put("create deployment stack", stack, _body(deployment, {}))


def _body(deployment: Deployment, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "location": deployment.location,
        "tags": deployment.tags,
        "properties": {
            "template": deployment.template,
            "parameters": {name: {"value": value} for name, value in deployment.parameters.items()},
            "actionOnUnmanage": _ON_UNMANAGE,
            "denySettings": _DENY,
            **more,
        },
    }


async def _put(operation: str, place: str, body: dict[str, Any]) -> None:
    call = Call(operation, "PUT", place, body, params={"api-version": API_VERSION}, expect=(200, 201))
    try:
        _shaped(call, await _ARM.call(call), place)
    except ConflictError:  # it is under way: by our own call, whose answer got lost, or by another one
        found = await read(place)
        if found is None or found.tags != body["tags"]:
            raise


async def wait(place: str) -> Stack:
    """Wait until a what-if result is there; minutes at most.

    Raises:
        PermanentIntegrationError: it failed.
        TransientIntegrationError: it is not there in time.
    """
    for attempt in range(_POLLS):
        found = await read(place)
        if found and found.ended:
            return require(found)
        await asyncio.sleep(min(0.25 * 2**attempt, 5.0))
    raise TransientIntegrationError(VendorCall(_INTEGRATION, "get what-if result"), f"{place} is not there yet")


def require(found: Stack) -> Stack:
    """The same, if it succeeded. Raises PermanentIntegrationError with Azure's reason."""
    if found.state != "succeeded":
        problem = found.properties.error or Problem()
        detail = f"{problem.code or found.state}: {problem.message or 'no reason given'}"
        raise PermanentIntegrationError(VendorCall(_INTEGRATION, "deployment"), detail[:600])
    return found


async def read_changes(place: str) -> list[dict[str, Any]]:
    """The changes of a what-if result, property by property."""
    call = Call(
        "read what-if changes", "POST", f"{place}/whatIf", params={"api-version": API_VERSION}, expect=(200, 202)
    )
    answer = await _ARM.call(call)
    for _ in range(_POLLS):
        if answer.status == 200:  # noqa: PLR2004 - HTTP status
            return _ARM.shaped(call, answer, _WhatIf).properties.changes.resource_changes
        await asyncio.sleep(_pause(answer))
        follow = Call(call.operation, "GET", _location(call, answer), expect=(200, 202))
        answer = await _ARM.call(follow)
    raise TransientIntegrationError(VendorCall(_INTEGRATION, call.operation, 202), f"{place} is still being compared")


def _location(call: Call, answer: Answer) -> str:
    """Where a long-running operation is followed, on the same host."""
    place = answer.headers.get("location", "")
    if not place.startswith(f"{BASE}/"):
        raise TransientIntegrationError(VendorCall(_INTEGRATION, call.operation, 202), "the answer has no location")
    return place.removeprefix(BASE)


def _pause(answer: Answer) -> float:
    value = answer.headers.get("retry-after", "")
    return min(float(value), _LONGEST_PAUSE) if value.isdigit() else 1.0


async def delete_stack(stack: str, permit: Permit) -> None:
    """Delete a stack with everything it manages; under way afterwards, absent is success."""
    params = {
        "api-version": API_VERSION,
        "unmanageAction.Resources": "delete",
        "unmanageAction.ResourceGroups": "delete",
        "unmanageAction.ManagementGroups": "detach",
    }
    operation = f"delete {permit.action.kind}"
    await _ARM.call(Call(operation, "DELETE", stack, params=params, expect=(200, 202, 204, 404)))


def _shaped(call: Call, answer: Answer, place: str) -> Stack:
    found = _ARM.shaped(call, answer, Stack)
    if found.id.lower() != place.lower():
        wrong = VendorCall(_INTEGRATION, call.operation, answer.status)
        raise TransientIntegrationError(wrong, f"the answer is not {place}")
    return found
