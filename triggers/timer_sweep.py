"""The sweep: once a minute, whatever a dying process left between two lines is finished."""

from typing import Any

import azure.durable_functions as df
import azure.functions as func

from shared import allotments, notices
from shared.clock import utc_now
from shared.errors import StateConflictError
from shared.log import LOGGER
from shared.models.messages import IntentRecord, MessageKind
from shared.models.problem import Problem
from shared.models.records import RUNNING_STATES, ClaimRecord, ClaimState, RequestRecord, RequestState
from shared.models.runs import UndoInput
from shared.register import claims, intents, leases, requests
from shared.register.audit import Entry
from shared.telemetry.metrics import measure
from triggers._campaign_intake import sweep_campaigns
from triggers._drift_sweep import sweep_drift_proposals
from triggers._event_intake import sweep_events
from triggers._held_alert_sweep import sweep_held_alerts
from triggers._intake import pace, start, start_once
from triggers._operation_sweep import sweep_operations
from triggers._promotion_sweep import sweep_promotions
from triggers._sweeping import ENDED, HINT_SECONDS, ORPHAN_SECONDS, age, apart, older
from triggers._views import base
from triggers._wake import wake
from triggers.http_messages import start_sending

blueprint = df.Blueprint()

_S = RequestState
_DECIDED = (_S.PLANNING, _S.PROVISIONING, _S.REJECTED, _S.CANCELLED)


async def sweep(timer: func.TimerRequest, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG001 - the SDK sets the hint
    """Start orphaned claims, restart or park requests whose orchestration is gone, repeat lost hints, send messages."""
    ages = {"claims": 0.0, "requests": 0.0}
    pending = 0
    async for claim in claims.unfinished():
        ages["claims"] = max(ages["claims"], age(claim.claimed_at))
        if older(claim.claimed_at, ORPHAN_SECONDS):
            await apart(claim.request_id, _finish_claim(client, claim))
    async for record in requests.in_states(sorted(RUNNING_STATES)):
        if record.state is _S.AWAITING_APPROVAL:
            pending += 1
        else:
            ages["requests"] = max(ages["requests"], age(record.updated_at))
        if older(record.updated_at, ORPHAN_SECONDS):
            await apart(record.id, _look_after(client, record))
    _measure(ages, pending)
    async for record in requests.in_states(_DECIDED):
        if not older(record.updated_at, HINT_SECONDS):
            await apart(record.id, wake(client, record))
    await sweep_promotions(client)
    await sweep_operations(client)
    await sweep_campaigns(client)
    await sweep_drift_proposals(client)
    await sweep_events(client)
    await sweep_held_alerts(client)
    async for intent in intents.due():
        if older(intent.updated_at, ORPHAN_SECONDS):
            await apart(intent.key, start_sending(client, intent))


def _measure(ages: dict[str, float], pending: int) -> None:
    for queue, oldest in ages.items():
        measure("appstore.queue.age", oldest, {"appstore.queue": queue})
    measure("appstore.approvals.pending", pending)


async def _finish_claim(client: Any, claim: ClaimRecord) -> None:
    record = await requests.find(claim.application, claim.request_id)
    if record is None:
        LOGGER.warning("the claim %s was never recorded: its caller got no answer and may ask again", claim.request_id)
        await allotments.let_go(claim.request_id, claim.owner_team)
        await claims.abandon(claim)
        return
    await start(client, record)
    await claims.set_state(claim, ClaimState.STARTED)


async def _look_after(client: Any, record: RequestRecord) -> None:
    status = await client.get_status(record.instance_id)
    state = status.runtime_status.value if status and status.runtime_status else None
    if state is None:
        await _start(client, record)
    elif state in ENDED:
        await _park(record, f"The orchestration ended as {state}.")
    else:
        await leases.acquire(record.application, record.id, utc_now())


async def _start(client: Any, record: RequestRecord) -> None:
    if record.state is not _S.UNDOING:
        await start(client, record)
        return
    payload = UndoInput(request_id=record.id, application=record.application, attempt=record.attempt, pace=pace())
    await start_once(client, "undo", record.instance_id, payload.document())


async def _park(record: RequestRecord, detail: str) -> None:
    """A request in a running state without a running orchestration: nobody would ever hear of it again."""
    problem = Problem(
        code="internal", title="The run ended unexpectedly", detail=f"{detail} What exists is kept; retry or undo."
    )
    entry = Entry(f"{record.id}:swept:{record.instance_id}", utc_now(), "appstore", "park", record.id, problem.detail)
    await requests.transition(
        record.application,
        record.id,
        lambda old: _parked(old, record, problem),
        entry,
        expect=[record.state],
        extra=lambda new, _rows: [intents.insertion(intent) for intent in _notices(new, problem)],
    )


def _notices(record: RequestRecord, problem: Problem) -> list[IntentRecord]:
    """The notice that the request is parked, for the next minute to send: no flow is there that could."""
    message = notices.notice(
        MessageKind.PARKED, record, base=base(), attempt=record.attempt, problem=problem, undo=record.undo_begun
    )
    return notices.due(record, message, record.attempt, record.updated_at)


def _parked(old: RequestRecord, seen: RequestRecord, problem: Problem) -> RequestRecord:
    if old.instance_id != seen.instance_id:
        raise StateConflictError(old.state, "another attempt is at work already")
    return old.model_copy(update={"state": _S.PARKED, "problem": problem})


bound = blueprint.durable_client_input(client_name="client")(sweep)
timed = blueprint.timer_trigger(arg_name="timer", schedule="0 * * * * *")(bound)
blueprint.function_name("sweep")(timed)
