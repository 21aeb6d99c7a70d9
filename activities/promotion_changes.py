"""The ServiceNow change of a promotion: opened before it, closed with the evidence after it."""

from activities._activity import activity
from shared.clients import servicenow
from shared.clients.servicenow import Change
from shared.errors import NotFoundError, VendorCall
from shared.guard import Action, Facts, permit
from shared.models.promotions import PromotionKind, PromotionRecord
from shared.models.runs import ActivityInput, Nothing
from shared.register import promotions

_RISK = {"dev": "4", "qa": "3", "prod": "2"}


async def _record(data: ActivityInput) -> PromotionRecord:
    return await promotions.get(data.run.application, data.run.request_id)


@activity
async def open_release_change(data: ActivityInput) -> Nothing:
    """Open the change request of a promotion, with what was allowed and by whom as its reason.

    Idempotency: correlation id = promotion id, looked up before and after creating; there is no unique index, so that
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
        action = Action("undo", "change request", duplicate.number, record.id)
        allowed = permit(action, Facts(owned_by=duplicate.correlation_id))
        await servicenow.cancel_change(duplicate, f"duplicate of {change.number}", allowed)
    return Nothing(detail=change.number, link=servicenow.link(change))


def _about(record: PromotionRecord) -> dict[str, str]:
    approvers = ", ".join(decision.actor_name for decision in record.approvals) or "the rules"
    release, digest = record.release, record.approved_digest or ""
    what = "Roll back" if record.kind is PromotionKind.ROLL_BACK else "Promote"
    image = release.digest if release else ""
    commit = release.commit if release else ""
    about = {
        "short_description": f"{what} {record.application} in {record.target} to {image[:19]}"[:160],
        "description": f"{record.reason or 'No reason was given.'}\n\n"
        f"Promotion {record.id} of {record.requester_name}: "
        f"image {image}, commit {commit}, from {record.source} to {record.target}.",
        "justification": f"Document {digest[:12]} allowed by {approvers}.",
        "correlation_id": record.id,
        "correlation_display": "App Store",
        "risk": _RISK.get(record.target, "3"),
    }
    group = servicenow.assignment_group()
    return about | ({"assignment_group": group} if group else {})


async def _ours(promotion_id: str) -> Change:
    found = await servicenow.find_changes(promotion_id)
    if not found:
        call = VendorCall("servicenow", "find change", 200)
        raise NotFoundError(call, f"no change carries the correlation id {promotion_id}")
    return found[0]


@activity
async def withdraw_release_change(data: ActivityInput) -> Nothing:
    """Cancel the change of a promotion that ended before anything was deployed by it.

    Idempotency: what is closed or cancelled stays as it is; no change is success.
    """
    record = await _record(data)
    found = await servicenow.find_changes(record.id) if "servicenow" in record.record_systems else []
    for change in found:
        action = Action("undo", "change request", change.number, record.id)
        allowed = permit(action, Facts(owned_by=change.correlation_id))
        await servicenow.cancel_change(change, f"promotion {record.id} is {record.state}", allowed)
    return Nothing(detail=", ".join(change.number for change in found) or "no change")


@activity
async def check_release_conflicts(data: ActivityInput) -> Nothing:
    """Let the instance check the change against its calendars and other changes.

    Idempotency: the check is started once; every later call reads its result.

    Raises:
        TransientIntegrationError: the check still runs.
        ConflictError: something stands against the change.
    """
    change = await _ours(data.run.request_id)
    await servicenow.require_no_conflict(change)
    return Nothing(detail=f"{change.number}: no conflict")


@activity
async def start_release_change(data: ActivityInput) -> Nothing:
    """Bring the change to Implement by the steps of its model.

    Idempotency: a change that is there, or further, stays.
    """
    change = await servicenow.move_change(await _ours(data.run.request_id), servicenow.IMPLEMENT, {})
    return Nothing(detail=f"{change.number} in state {change.state}", link=servicenow.link(change))


@activity
async def close_release_change(data: ActivityInput) -> Nothing:
    """Close the change as successful with its evidence, and that of a promotion that was rolled back as unsuccessful.

    Idempotency: a closed change stays.
    """
    record = await _record(data)
    if record.rolls_back:
        for other in await servicenow.find_changes(record.rolls_back):
            failed = {"close_code": "unsuccessful", "close_notes": f"Rolled back by promotion {record.id}."}
            await servicenow.move_change(other, servicenow.CLOSED, failed)
    image = record.release.digest if record.release else ""
    notes = (
        f"Promotion {record.id}: document {record.approved_digest} was carried out. {record.target} answers with "
        f"{image}, and GitHub's deployment record says the same."
    )
    evidence = {"close_code": "successful", "close_notes": notes}
    change = await servicenow.move_change(await _ours(record.id), servicenow.CLOSED, evidence)
    return Nothing(detail=f"{change.number} closed", link=servicenow.link(change))
