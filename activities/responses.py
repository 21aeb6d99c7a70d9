"""Answering an alert: what the rules say is planned, done, and verified by the alert's own condition."""

from datetime import UTC, datetime, timedelta

from activities._activity import activity, look
from activities._guarded import Done, action_of, carry_out, keep_survey
from activities._quiet import STALE, hold, quiet
from activities._responses import can_be_taken_back, planned_action, respond, take_back
from shared import responses, shields
from shared.clients import monitor, resources
from shared.clients.monitor import WatchedMetric
from shared.clock import utc_now
from shared.errors import ConfigurationError, NotFoundError, RequestRejectedError
from shared.guard import Permit
from shared.models.day2_alerts import RespondToAlert, Response, Undone, Verification
from shared.models.operations import (
    RUNNING_STATES,
    ActionRecord,
    ActionState,
    OperationRecord,
    PlannedAction,
    Survey,
    Wave,
    WaveResult,
)
from shared.models.runs import ActivityInput, Effect
from shared.register import alerts, held_alerts, operations
from shared.register.alerts import Answering, Turn

_TAKEN_BACK = "; taken back: "
_LOOK_BACK = STALE


@look
async def list_alert_response(data: ActivityInput) -> Effect:
    """Plan what the rules say about the alert: nothing when somebody answers it already or it is over.

    Idempotency: the claim of the alert and the turn of the response are the operation's own; a repeat finds them.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    alert = RespondToAlert.model_validate(record.parameters)
    if alert.condition == "Resolved":
        if not record.dry_run:
            resolved = Answering(operation="", at=utc_now(), resolved=alert.alert_id)
            await alerts.remember_resolved(record.application, alert.fingerprint, resolved)
            await held_alerts.let_go(record.application, alert.fingerprint)
        return await keep_survey(data, Survey(scanned=1, summary="the alert is over", facts={"over": True}))
    if await _was_resolved(record, alert):
        return await keep_survey(data, Survey(scanned=1, summary="nothing to do: the alert is over by now"))
    if why := await quiet(record, alert):
        if not record.dry_run:
            await hold(record, alert, why)
        summary, facts = f"kept and not answered: {why.reason}", {"held": why.reason}
        return await keep_survey(data, Survey(scanned=1, summary=summary, facts=facts))
    if not record.dry_run and (other := await _answered_by_other(record, alert)):
        summary = f"{other} answers this alert already"
        return await keep_survey(data, Survey(scanned=1, summary=summary, facts={"answeredBy": other}))
    value = await _value(alert)
    if _is_over(alert, value):
        summary = f"nothing to do: {alert.conditions[0].metric_name} is {value:g} by now"
        return await keep_survey(data, Survey(scanned=1, summary=summary, facts={"before": value}))
    return await keep_survey(data, await _planned(record, alert, value))


async def _was_resolved(record: OperationRecord, alert: RespondToAlert) -> bool:
    """Whether Azure Monitor said that this very alert is over; events come in any order, and may have been kept."""
    known = await alerts.answering(record.application, alert.fingerprint)
    return known is not None and known.resolved == alert.alert_id


async def _answered_by_other(record: OperationRecord, alert: RespondToAlert) -> str | None:
    """The operation that answers the same alert now, or None: then ours does from here on."""
    held = await alerts.answering(record.application, alert.fingerprint)
    other = held.operation if held and held.operation != record.id else None
    if other:
        found = await operations.find(record.application, other)
        if found and found.state in RUNNING_STATES:
            return other
    ours = Answering(operation=record.id, at=utc_now())
    claimed = await alerts.claim(record.application, alert.fingerprint, ours, instead_of=other)
    return None if claimed.operation == record.id else claimed.operation


async def _value(alert: RespondToAlert) -> float | None:
    """The newest value of what the alert watches; None when there is none."""
    if not alert.conditions or not alert.target:
        return None
    watched = alert.conditions[0]
    metric = WatchedMetric(
        resource_id=alert.target,
        namespace=watched.metric_namespace,
        name=watched.metric_name,
        aggregation=watched.time_aggregation,
    )
    now = datetime.now(UTC)
    points = await monitor.read_metric(metric, now - _LOOK_BACK, now + timedelta(minutes=1))
    return points[-1].value if points else None


def _is_over(alert: RespondToAlert, value: float | None) -> bool:
    """Whether the alert's condition does not hold any more: the event may be hours old."""
    if value is None:
        return False
    watched = alert.conditions[0]
    return responses.fulfils(value, watched.operator, watched.threshold) is False


async def _planned(record: OperationRecord, alert: RespondToAlert, value: float | None) -> Survey:
    response = responses.response_to(alert, record.environment)
    facts = {"response": response.id, "before": value, "settleMinutes": response.settle}
    refused = None if record.dry_run else await _cool_down(record, alert, response)
    action = None if refused else await planned_action(record, alert, response)
    if action is None:
        why = refused or f"{response.id}: no response is known; a person has to look"
        return Survey(scanned=1, summary=why, facts=facts | {"incident": why})
    return Survey(actions=[action], scanned=1, summary=f"{response.id}: {action.summary}", facts=facts)


async def _cool_down(record: OperationRecord, alert: RespondToAlert, response: Response) -> str | None:
    windows = response.cool_down
    turn = Turn(at=utc_now(), target=alert.target.lower(), operation=record.id)
    return await alerts.take_turn(response.id, turn, target=windows.target, everywhere=windows.all)


@activity
async def set_alert_response(data: Wave) -> WaveResult:
    """Do what was planned about the alert.

    Idempotency: the disk has the size already, the workload carries the operation's mark, the job has its name.
    """
    return await carry_out(data, _respond, _locked)


async def _locked(action: PlannedAction) -> bool:
    return action.target.startswith("/subscriptions/") and await resources.is_locked(action.target)


async def _respond(row: ActionRecord, permit: Permit) -> Done:
    """Do the action, unless the quiet time began while it waited for a person or for the application."""
    if not row.tries:
        record = await operations.get(row.action.owned_by, row.operation_id)
        alert = RespondToAlert.model_validate(record.parameters)
        if why := await quiet(record, alert):
            await hold(record, alert, why)
            return Done(detail=f"kept: {why.reason}", gone=True)
    return await respond(row, permit)


@activity
async def set_response_undone(data: ActivityInput) -> Undone:
    """Take a response back that did not help, where that can be done and the guard allows it.

    Idempotency: what is as it was before is left alone, and so is what somebody else has changed since.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    told = []
    for row in await _to_be_taken_back(record):
        action = action_of(row.action, record.application)
        try:
            allowed = await shields.allow(
                action, application=record.application, owned_by=row.action.owned_by, locked=await _locked(row.action)
            )
        except RequestRejectedError as error:
            return Undone(undone=False, detail=str(error)[:300])
        done = await take_back(row, allowed)
        if not done:
            return Undone(undone=False, detail="somebody else has changed it since")
        told.append(done)
        if _TAKEN_BACK not in row.detail:
            noted = row.model_copy(update={"detail": f"{row.detail}{_TAKEN_BACK}{done}", "updated_at": utc_now()})
            await operations.write_action(record.application, noted)
    return Undone(undone=bool(told), detail=", ".join(told))


async def _to_be_taken_back(record: OperationRecord) -> list[ActionRecord]:
    found = [row async for row in operations.actions(record.application, record.id)]
    return [row for row in found if row.state is ActionState.DONE and can_be_taken_back(row)]


@look
async def read_alert_verification(data: ActivityInput) -> Verification:
    """Read the metric again: whether the alert's condition still holds after the response.

    Idempotency: reads only.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    alert = RespondToAlert.model_validate(record.parameters)
    before = record.facts.get("before")
    if why := await quiet(record, alert):
        return Verification(helped=None, before=before, detail=f"nobody judges now: {why.reason}")
    try:
        value = await _value(alert)
    except (NotFoundError, ConfigurationError):
        value = None
    if value is None:
        return Verification(helped=None, before=before, detail="there is no value to judge by")
    helped = _is_over(alert, value)
    reversible = not helped and bool(await _to_be_taken_back(record))
    return Verification(helped=helped, before=before, after=value, reversible=reversible, detail=f"{value:g} now")
