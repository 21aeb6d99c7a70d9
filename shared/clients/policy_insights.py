"""Azure Policy's view of resources: what does not comply, and tasks that put it right.

Documentation: https://learn.microsoft.com/rest/api/policy/policy-states/list-query-results-for-resource-group and
https://learn.microsoft.com/rest/api/policy/remediations
"""

from collections.abc import AsyncIterator
from typing import Any

from pydantic import Field

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.guard import Permit
from shared.models import Model

_STATES = "2019-10-01"
_REMEDIATIONS = "2019-07-01"
_PROVIDER = "/providers/Microsoft.PolicyInsights"
_NEWEST = "/policyStates/latest/queryResults"
_MISSING = 404
_ARM = arm()


class PolicyState(Model):
    """That a resource does not comply with a policy.

    Attributes:
        policy_definition_action: effect of the policy, in lower case as Azure says it: ``modify``, ``audit``, ``deny``.
        policy_definition_reference_id: which policy of an initiative; empty for a policy that stands alone.
    """

    resource_id: str
    policy_assignment_id: str
    policy_definition_id: str
    policy_definition_reference_id: str = ""
    policy_definition_action: str = ""
    compliance_state: str


class _Page(Model):
    value: list[PolicyState]
    next_link: str | None = Field(default=None, alias="@odata.nextLink")


class Deployments(Model):
    """How far a remediation has come, counted in resources."""

    total_deployments: int = 0
    successful_deployments: int = 0
    failed_deployments: int = 0


class _Properties(Model):
    provisioning_state: str = ""
    deployment_status: Deployments = Deployments()


class Remediation(Model):
    """A remediation task."""

    properties: _Properties

    @property
    def state(self) -> str:
        """``Accepted``, ``Evaluating``, ``Running``; at its end ``Succeeded``, ``Failed`` or ``Canceled``."""
        return self.properties.provisioning_state

    @property
    def ended(self) -> bool:
        """Whether nothing happens any more."""
        return self.state in ("Succeeded", "Failed", "Canceled", "Complete")


async def list_violations(group: str) -> AsyncIterator[PolicyState]:
    """What does not comply in a resource group (its ARM id), page by page; exempt resources are not among it."""
    params = {"api-version": _STATES, "$filter": "complianceState eq 'NonCompliant'"}
    call = Call("query policy states", "POST", f"{group}{_PROVIDER}{_NEWEST}", params=params)
    async for page in _ARM.pages(call, _Page):
        for state in page.value:
            yield state


def remediation_id(resource: str, name: str) -> str:
    """ARM id of a remediation task of one resource."""
    return f"{resource}{_PROVIDER}/remediations/{name}"


def remediation_of(state: PolicyState) -> dict[str, Any]:
    """Body of a task that puts one violation right."""
    properties = {"policyAssignmentId": state.policy_assignment_id, "resourceDiscoveryMode": "ExistingNonCompliant"}
    if state.policy_definition_reference_id:
        properties["policyDefinitionReferenceId"] = state.policy_definition_reference_id
    return {"properties": properties}


async def find_remediation(place: str) -> Remediation | None:
    """A remediation task by its id, or None."""
    params = {"api-version": _REMEDIATIONS}
    call = Call("get remediation", "GET", place, params=params, expect=(200, _MISSING))
    answer = await _ARM.call(call)
    return None if answer.status == _MISSING else _ARM.shaped(call, answer, Remediation)


async def put_remediation(place: str, body: dict[str, Any], permit: Permit) -> Remediation:
    """Begin a remediation task; the same name twice is the same task while it is there.

    Raises:
        ConflictError: a task of this name is at work with another body.
    """
    params = {"api-version": _REMEDIATIONS}
    call = Call(f"create {permit.action.kind}", "PUT", place, body, params=params, expect=(200, 201))
    return await _ARM.read(call, Remediation)
