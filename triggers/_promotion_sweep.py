"""The part of the sweep that looks after promotions."""

from typing import Any

from shared.clock import utc_now
from shared.errors import StateConflictError
from shared.models.problem import Problem
from shared.models.promotions import RUNNING_STATES, PromotionRecord, PromotionState
from shared.register import leases, promotions
from shared.register.audit import Entry
from triggers._promotion_intake import start, wake
from triggers._sweeping import ENDED, HINT_SECONDS, ORPHAN_SECONDS, apart, older

_S = PromotionState
_DECIDED = (_S.DEPLOYING, _S.REJECTED, _S.CANCELLED)
_CHANGING = (_S.DEPLOYING, _S.VERIFYING)


async def sweep_promotions(client: Any) -> None:
    """Start promotions that nobody started, park those whose orchestration is gone, repeat lost hints."""
    async for record in promotions.in_states(sorted(RUNNING_STATES)):
        if older(record.updated_at, ORPHAN_SECONDS):
            await apart(record.id, _look_after(client, record))
    async for record in promotions.in_states(_DECIDED):
        if not older(record.updated_at, HINT_SECONDS):
            await apart(record.id, _remind(client, record))


async def _remind(client: Any, record: PromotionRecord) -> None:
    """What was decided is looked at again; one that was cancelled while it was parked has to be started for that."""
    status = await client.get_status(record.instance_id)
    if status is None or status.runtime_status is None:
        await start(client, record)
    else:
        await wake(client, record)


async def _look_after(client: Any, record: PromotionRecord) -> None:
    status = await client.get_status(record.instance_id)
    state = status.runtime_status.value if status and status.runtime_status else None
    if state is None:
        await start(client, record)
    elif state in ENDED:
        await _park(record, f"The orchestration ended as {state}.")
    elif record.state in _CHANGING:
        await leases.acquire(record.application, record.id, utc_now())


async def _park(record: PromotionRecord, detail: str) -> None:
    """A promotion in a running state without a running orchestration: nobody would ever hear of it again."""
    problem = Problem(code="internal", title="The run ended unexpectedly", detail=f"{detail} Retry, or roll back.")
    entry = Entry(f"{record.id}:swept:{record.instance_id}", utc_now(), "appstore", "park", record.id, problem.detail)

    def parked(old: PromotionRecord) -> PromotionRecord:
        if old.instance_id != record.instance_id:
            raise StateConflictError(old.state, "another attempt is at work already")
        return old.model_copy(update={"state": _S.PARKED, "problem": problem})

    await promotions.transition(record.application, record.id, parked, entry, expect=[record.state])
    await leases.release(record.application, record.id)
