"""Records in ServiceNow: the change request of an onboarding, and the application's configuration item."""

from activities._activity import activity
from shared.clients import servicenow
from shared.clients.servicenow import Change
from shared.errors import ConflictError, NotFoundError, TransientIntegrationError, VendorCall
from shared.guard import Action, Facts, Permit, permit
from shared.models.plan import MadeObject
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Nothing
from shared.models.undo import Removed
from shared.register import requests

_RISK = {"low": "4", "medium": "3", "high": "2"}
_CHANGE, _ITEM = "change request", "configuration item"


async def _record(data: ActivityInput) -> RequestRecord:
    return await requests.get(data.run.application, data.run.request_id)


def _made(kind: str, name: str) -> list[MadeObject]:
    return [MadeObject(system="servicenow", type=kind, name=name)]


@activity
async def open_change(data: ActivityInput) -> Nothing:
    """Open the change request of the onboarding, with the approved plan as its reason.

    Idempotency: correlation id = request id, looked up before and after creating; there is no unique index, so that
    of two that were created at once the younger one is cancelled.
    """
    record = await _record(data)
    found = await servicenow.find_changes(record.id)
    if not found:
        await servicenow.create_change(_about(record))
        found = await servicenow.find_changes(record.id)
    if not found:
        call = VendorCall("servicenow", "create change", 200)
        raise NotFoundError(call, "the change was accepted, but nobody can find it by its correlation id")
    change, *younger = found
    for duplicate in younger:
        await servicenow.cancel_change(duplicate, f"duplicate of {change.number}", _permit(record, duplicate))
    return Nothing(detail=change.number, link=servicenow.link(change), made=_made(_CHANGE, record.application))


def _about(record: RequestRecord) -> dict[str, str]:
    body, digest = record.body, record.approved_digest or ""
    approvers = ", ".join(decision.actor_name for decision in record.approvals) or "nobody"
    about = {
        "short_description": f"Application {body.name} in {', '.join(map(str, body.environments))}"[:160],
        "description": f"{body.description}\n\nRequest {record.id} of {record.requester_name}, plan {digest}.",
        "justification": f"Plan {digest[:12]} approved by {approvers}.",
        "correlation_id": record.id,
        "correlation_display": "App Store",
        "risk": _RISK.get(str(body.criticality), "3"),
    }
    group = servicenow.assignment_group()
    return about | ({"assignment_group": group} if group else {})


async def _ours(record: RequestRecord) -> Change:
    found = await servicenow.find_changes(record.id)
    if not found:
        call = VendorCall("servicenow", "find change", 200)
        raise NotFoundError(call, f"no change carries the correlation id {record.id}")
    return found[0]


def _permit(record: RequestRecord, change: Change) -> Permit:
    action = Action("undo", _CHANGE, change.number, record.id)
    return permit(action, Facts(owned_by=change.correlation_id))


@activity
async def check_change_conflicts(data: ActivityInput) -> Nothing:
    """Let the instance check the change against its calendars and other changes.

    Idempotency: the check is started once; every later call reads its result.

    Raises:
        TransientIntegrationError: the check still runs.
        ConflictError: something stands against the change.
    """
    change = await _ours(await _record(data))
    call = VendorCall("servicenow", "check conflicts", 200)
    found = await servicenow.check_conflicts(change)
    if found is None:
        raise TransientIntegrationError(call, f"the conflict check of {change.number} still runs")
    if found:
        raise ConflictError(call, f"{change.number} conflicts with {', '.join(found)}")
    return Nothing(detail=f"{change.number}: no conflict")


@activity
async def start_change(data: ActivityInput) -> Nothing:
    """Bring the change to Implement by the steps of its model.

    Idempotency: a change that is there, or further, stays.
    """
    change = await servicenow.move_change(await _ours(await _record(data)), servicenow.IMPLEMENT, {})
    return Nothing(detail=f"{change.number} in state {change.state}", link=servicenow.link(change))


@activity
async def ensure_configuration_item(data: ActivityInput) -> Nothing:
    """Record the application in the CMDB.

    Idempotency: natural key class/name by the identification engine; a living item of another request is a conflict.
    """
    record = await _record(data)
    body = record.body
    found = await servicenow.find_item(body.name)
    if found and found.correlation_id != record.id and found.operational_status != servicenow.RETIRED:
        call = VendorCall("servicenow", "put configuration item", 200)
        raise ConflictError(call, f"the configuration item {body.name} was not made by this request; it stays as it is")
    item = await servicenow.put_item(
        {
            "name": body.name,
            "correlation_id": record.id,
            "short_description": body.description[:160],
            "operational_status": "1",
            "environment": ", ".join(map(str, body.environments)),
            "business_criticality": str(body.criticality),
        }
    )
    return Nothing(detail=f"configuration item {item.name}", made=_made(_ITEM, record.application))


@activity
async def close_change(data: ActivityInput) -> Nothing:
    """Close the change as successful, with what was made as the evidence.

    Idempotency: a closed change stays.
    """
    record = await _record(data)
    notes = f"Request {record.id}: plan {record.approved_digest} was applied, and the application answers."
    evidence = {"close_code": "successful", "close_notes": notes}
    change = await servicenow.move_change(await _ours(record), servicenow.CLOSED, evidence)
    return Nothing(detail=f"{change.number} closed", link=servicenow.link(change))


@activity
async def remove_records(data: ActivityInput) -> Removed:
    """Cancel the change and retire the configuration item, if this request made them.

    Idempotency: absent, cancelled or retired is success; what a CMDB and
    an ITSM keep, a closed change and a retired item, is residue.
    """
    record = await _record(data)
    residue = []
    for change in await servicenow.find_changes(record.id):
        await servicenow.cancel_change(change, f"request {record.id} was undone", _permit(record, change))
        if change.state in (servicenow.REVIEW, servicenow.CLOSED):
            residue += _made(_CHANGE, change.number)
    item = await servicenow.find_item(record.application)
    if item and item.correlation_id == record.id:
        action = Action("undo", _ITEM, item.name, record.id)
        await servicenow.retire_item(item, permit(action, Facts(owned_by=item.correlation_id)))
        residue += _made(_ITEM, item.name)
    return Removed(detail="records", residue=residue)
