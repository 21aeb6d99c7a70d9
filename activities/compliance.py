"""What does not comply with Azure Policy: found, and put right where the policy itself says how."""

from activities._activity import activity, look
from activities._guarded import Done, UnderWayError, carry_out, keep_survey
from shared.canonical import sha256_hex
from shared.clients import policy_insights
from shared.clients.policy_insights import PolicyState, Remediation
from shared.errors import ConflictError, PermanentIntegrationError, VendorCall
from shared.guard import Permit
from shared.models.day2_compliance import RemediateCompliance
from shared.models.operations import ActionRecord, OperationRecord, PlannedAction, PlannedCall, Survey, Wave, WaveResult
from shared.models.runs import ActivityInput, Effect
from shared.plan import group_of
from shared.register import operations, requests

RULE = "remediate-compliance"
_REMEDIABLE = frozenset({"modify", "deployifnotexists"})
_NAMED = 50


@look
async def list_violations(data: ActivityInput) -> Effect:
    """Plan a remediation task for each violation of which the policy says how it is put right; name the others.

    A task of Azure's could do a whole group; one for each resource lets holds, exemptions and budgets count for each.

    Idempotency: reads at the vendor; the planned actions are written over those of an earlier survey.
    """
    operation = await operations.get(data.run.application, data.run.request_id)
    application = await requests.application(operation.application)
    assert application is not None, "an operation is of an application"  # noqa: S101 - the intake demands it
    record = await requests.get(application.name, application.request_id)
    actions, by_hand, scanned = [], [], 0
    for stage in [operation.environment] if operation.environment else application.environments:
        group = group_of(record, stage)
        found = [state async for state in policy_insights.list_violations(group) if _meant(operation, state)]
        scanned += len(found)
        actions += [_planned(operation, stage, state) for state in found if _remediable(state)]
        by_hand += [state for state in found if not _remediable(state)]
    summary = f"{scanned} violations, {scanned - len(by_hand)} that their policies can put right"
    facts = {"byHand": [_named(state) for state in by_hand[:_NAMED]]}
    return await keep_survey(data, Survey(actions=actions, scanned=scanned, summary=summary, facts=facts))


def _meant(operation: OperationRecord, state: PolicyState) -> bool:
    wanted = RemediateCompliance.model_validate(operation.parameters)
    pairs = (
        (wanted.resource, state.resource_id),
        (wanted.assignment, state.policy_assignment_id),
        (wanted.definition, state.policy_definition_id),
    )
    return all(asked.lower() in ("", found.lower()) for asked, found in pairs)


def _remediable(state: PolicyState) -> bool:
    return state.policy_definition_action.lower() in _REMEDIABLE


def _planned(operation: OperationRecord, stage: str, state: PolicyState) -> PlannedAction:
    key = f"{state.resource_id}/{state.policy_assignment_id}/{state.policy_definition_reference_id}".lower()
    name = f"appstore-{operation.id}-{sha256_hex(key.encode())[:12]}"
    place = policy_insights.remediation_id(state.resource_id, name)
    policy = state.policy_definition_id.rpartition("/")[2]
    return PlannedAction(
        key=key,
        rule=RULE,
        kind="remediation",
        target=state.resource_id,
        environment=stage,
        owned_by=operation.application,  # it lies in a group that was made for the application
        summary=f"{policy} ({state.policy_definition_action})",
        calls=[PlannedCall(method="PUT", target=place, body=policy_insights.remediation_of(state))],
        facts={"place": place},
    )


def _named(state: PolicyState) -> dict[str, str]:
    return {
        "resource": state.resource_id,
        "definition": state.policy_definition_id,
        "effect": state.policy_definition_action,
    }


@activity
async def remediate(data: Wave) -> WaveResult:
    """Begin the planned remediation tasks and look at them until they have ended.

    Idempotency: a task is named by the operation and its policy; one that is there is looked at, and not begun again.
    """
    return await carry_out(data, _remediated)


async def _remediated(row: ActionRecord, permit: Permit) -> Done:
    place, [call] = str(row.action.facts["place"]), row.action.calls
    found = await policy_insights.find_remediation(place)
    if found is None:
        found = await _begun(place, dict(call.body or {}), permit)
    if not found.ended:
        raise UnderWayError(_progress(found))
    if found.state not in ("Succeeded", "Complete") or found.properties.deployment_status.failed_deployments:
        failed = VendorCall("azure policy", "remediation")
        raise PermanentIntegrationError(failed, f"{found.state}: {_progress(found)}; {place} says why")
    return Done(detail=_progress(found))


async def _begun(place: str, body: dict[str, object], permit: Permit) -> Remediation:
    """The task; Azure refuses the name of one that is at work, which then is ours: its answer was lost."""
    try:
        return await policy_insights.put_remediation(place, body, permit)
    except ConflictError:
        found = await policy_insights.find_remediation(place)
        if found is None:
            raise
        return found


def _progress(found: Remediation) -> str:
    status = found.properties.deployment_status
    done, failed = status.successful_deployments, status.failed_deployments
    return f"{done} of {status.total_deployments} resources put right" + (f", {failed} failed" if failed else "")
