"""Records in ServiceNow: the change request of an onboarding, and the application's configuration item."""

from activities._activity import activity, look
from activities._transition import advance, entry_of
from shared.clients import servicenow
from shared.clients.servicenow import Change, ChangeApproval
from shared.clock import utc_now
from shared.decisions import open_needs
from shared.errors import ConflictError, NotFoundError, StateConflictError, VendorCall
from shared.guard import Action, Facts, Permit, permit
from shared.models.approval import PlanDecision
from shared.models.plan import MadeObject
from shared.models.records import Decision, DecisionRecord, RequestRecord, RequestState
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
    of two that were created at once the younger one is cancelled. One that was opened for the approval is kept.
    """
    record = await _record(data)
    change = await _opened(record, _living(await servicenow.find_changes(record.id)))
    return Nothing(detail=change.number, link=servicenow.link(change), made=_made(_CHANGE, record.application))


@activity
async def request_change_approval(data: PlanDecision) -> Nothing:
    """Open the change request before the plan is approved, and ask the instance for its approvals.

    Idempotency: as ``open_change``; it names the plan, and one of an earlier plan is cancelled: what was approved there
    was another plan.
    """
    record = await _record(data)
    found = _living(await servicenow.find_changes(record.id))
    for earlier in [change for change in found if change.correlation_display != _plan_name(data.digest)]:
        await servicenow.cancel_change(earlier, "there is another plan now", _permit(record, earlier))
    ours = [change for change in found if change.correlation_display == _plan_name(data.digest)]
    change = await servicenow.put_up_change(await _opened(record, ours, data.digest))
    return Nothing(
        detail=f"{change.number} in state {change.state}",
        link=servicenow.link(change),
        made=_made(_CHANGE, record.application),
    )


async def _opened(record: RequestRecord, found: list[Change], digest: str = "") -> Change:
    """The change, created unless it was found; of several the oldest."""
    known = {change.sys_id for change in found}
    if not found:
        await servicenow.create_change(_about(record, digest))
        found = [change for change in _living(await servicenow.find_changes(record.id)) if change.sys_id not in known]
    if not found:
        call = VendorCall("servicenow", "create change", 200)
        raise NotFoundError(call, "the change was accepted, but nobody can find it by its correlation id")
    change, *younger = found
    for duplicate in younger:
        await servicenow.cancel_change(duplicate, f"duplicate of {change.number}", _permit(record, duplicate))
    return change


def _living(changes: list[Change]) -> list[Change]:
    """The changes that were not cancelled."""
    return [change for change in changes if change.state != servicenow.CANCELED]


def _plan_name(digest: str) -> str:
    return f"App Store plan {digest[:32]}"


@look
async def read_change_approval(data: PlanDecision) -> Nothing:
    """Take over what was decided in ServiceNow about this plan: its approvals, or its rejection.

    Idempotency: what is known already is not written again; a decision that came first wins.
    """
    record = await _record(data)
    found = [
        item for item in await servicenow.find_changes(record.id) if item.correlation_display == _plan_name(data.digest)
    ]
    change = next(iter([*_living(found), *found]), None)
    if change is None:
        return Nothing(detail="there is no change request for this plan")
    if change.state == servicenow.CANCELED or change.approval == servicenow.REJECTED:
        return await _reject(data, record, change)
    if change.approval != servicenow.APPROVED:
        return Nothing(detail=f"{change.number}: {change.approval}")
    return await _approve(data, record, change)


async def _reject(data: PlanDecision, record: RequestRecord, change: Change) -> Nothing:
    said = [item for item in await servicenow.list_approvals(change) if item.state == servicenow.REJECTED]
    who = said[0] if said else None
    reason = (
        f"{change.number} was rejected: {who.comments}" if who else f"{change.number} was cancelled at the instance"
    )
    decision = _decision(record, Decision.REJECT, who, data.digest, reason[:500])
    return await _write(data, [decision], RequestState.REJECTED, reason)


async def _approve(data: PlanDecision, record: RequestRecord, change: Change) -> Nothing:
    """Approvals of people; one that our own user gave counts as little as any of a service principal."""
    known = {item.actor for item in record.approvals}
    decisions = [
        _decision(record, Decision.APPROVE, item, data.digest, change.number)
        for item in await servicenow.list_approvals(change)
        if item.state == servicenow.APPROVED and item.user_name != change.sys_created_by
    ]
    new = [decision for decision in decisions if decision.actor not in known]
    if not new:
        return Nothing(
            detail=f"{change.number} is approved, by nobody who counts" if not decisions else "known already"
        )
    return await _write(data, new, None, f"{change.number} approved by {', '.join(item.actor_name for item in new)}")


def _decision(
    record: RequestRecord, kind: Decision, said: ChangeApproval | None, digest: str, reason: str
) -> DecisionRecord:
    return DecisionRecord(
        request_id=record.id,
        decision=kind,
        actor=f"servicenow:{said.user_name if said else 'unknown'}",
        actor_name=(said.email or said.user_name) if said else "ServiceNow",
        decided_in="servicenow",
        plan_digest=digest,
        reason=reason,
        decided_at=utc_now(),
    )


async def _write(
    data: PlanDecision, decisions: list[DecisionRecord], state: RequestState | None, detail: str
) -> Nothing:
    """Write decisions and what follows from them together; without a state, the plan is approved when nothing lacks."""

    def change(old: RequestRecord) -> RequestRecord:
        if old.plan is None or old.plan.digest != data.digest:
            raise StateConflictError(old.state, "there is another plan now")
        if state:
            return old.model_copy(update={"state": state})
        new = old.model_copy(update={"approvals": [*old.approvals, *decisions]})
        if open_needs(new):
            return new
        return new.model_copy(update={"state": RequestState.PROVISIONING, "approved_digest": data.digest})

    key = ":".join([data.digest[:12], *(item.actor for item in decisions)])
    entry = entry_of(data, f"servicenow_{decisions[0].decision}", detail, at=decisions[0].decided_at, key=key)
    try:
        record = await advance(
            data,
            change,
            entry,
            [RequestState.AWAITING_APPROVAL],
            extra=lambda _new, _rows: [requests.decision_write(item) for item in decisions],
        )
    except StateConflictError as error:
        return Nothing(detail=f"decided otherwise meanwhile: {error}")
    return Nothing(detail=f"{detail}; the request is {record.state}")


@activity
async def note_decisions(data: PlanDecision) -> Nothing:
    """Copy what was decided in the App Store about the plan to the change request, as one work note.

    Idempotency: the note begins with request and plan, and is looked for before it is added.
    """
    record = await _record(data)
    ours = [item for item in record.approvals if item.decided_in != "servicenow"]
    said = [
        f"- {item.actor_name}{_for(item)} at {item.decided_at}: {item.reason or 'no reason given'}" for item in ours
    ]
    if grant := record.break_glass:
        said.append(f"- nobody else: {grant.actor_name} broke the glass, {grant.ticket}: {grant.reason}")
    if not said:
        return Nothing(detail="nothing was decided in the App Store")
    title = f"App Store: request {record.id}, plan {data.digest} was approved by"
    added = await servicenow.add_note(await _ours(record), "\n".join([title, *said]))
    return Nothing(detail="noted" if added else "noted already")


def _for(item: DecisionRecord) -> str:
    return f" for {item.on_behalf_of_name}" if item.on_behalf_of_name else ""


def _about(record: RequestRecord, awaiting: str = "") -> dict[str, str]:
    """What the change says; ``awaiting`` is the digest of the plan that it is to approve, empty when that was done."""
    body, digest = record.body, awaiting or record.approved_digest or ""
    approvers = ", ".join(decision.actor_name for decision in record.approvals) or "nobody"
    about = {
        "short_description": f"Application {body.name} in {', '.join(map(str, body.environments))}"[:160],
        "description": f"{body.description}\n\nRequest {record.id} of {record.requester_name}, plan {digest}.",
        "justification": f"Plan {digest[:12]} {'is to be approved here' if awaiting else f'approved by {approvers}'}.",
        "correlation_id": record.id,
        "correlation_display": _plan_name(awaiting) if awaiting else "App Store",
        "risk": _RISK.get(str(body.criticality), "3"),
    }
    group = servicenow.assignment_group()
    return about | ({"assignment_group": group} if group else {})


async def _ours(record: RequestRecord) -> Change:
    found = await servicenow.find_changes(record.id)
    if not found:
        call = VendorCall("servicenow", "find change", 200)
        raise NotFoundError(call, f"no change carries the correlation id {record.id}")
    return next(iter([*_living(found), *found]))


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
    await servicenow.require_no_conflict(change)
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
