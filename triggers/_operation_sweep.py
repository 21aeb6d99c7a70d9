"""The part of the sweep that looks after Day-2 operations."""

from typing import Any

from shared.clock import utc_now
from shared.errors import StateConflictError
from shared.models.operations import RUNNING_STATES, OperationRecord, OperationState
from shared.models.problem import Problem
from shared.register import leases, operations
from shared.register.audit import Entry
from triggers._operation_intake import start, wake
from triggers._sweeping import ENDED, HINT_SECONDS, ORPHAN_SECONDS, apart, older

_S = OperationState
_DECIDED = (_S.ACTING, _S.REJECTED, _S.CANCELLED)


async def sweep_operations(client: Any) -> None:
    """Start operations that nobody started, park those whose orchestration is gone, repeat lost hints."""
    async for record in operations.in_states(sorted(RUNNING_STATES)):
        if older(record.updated_at, ORPHAN_SECONDS):
            await apart(record.id, _look_after(client, record))
    async for record in operations.in_states(_DECIDED):
        if record.decide_before and not older(record.updated_at, HINT_SECONDS):
            await apart(record.id, wake(client, record))


async def _look_after(client: Any, record: OperationRecord) -> None:
    status = await client.get_status(record.instance_id)
    state = status.runtime_status.value if status and status.runtime_status else None
    if state is None:
        await start(client, record)
    elif state in ENDED:
        await _park(record, f"The orchestration ended as {state}.")
    elif record.state is _S.ACTING:
        await leases.renew(record.application, record.id, utc_now())


async def _park(record: OperationRecord, detail: str) -> None:
    """An operation in a running state without a running orchestration: nobody would ever hear of it again."""
    problem = Problem(
        code="internal", title="The run ended unexpectedly", detail=f"{detail} What was done is kept; retry."
    )
    entry = Entry(f"{record.id}:swept:{record.instance_id}", utc_now(), "appstore", "park", record.id, problem.detail)

    def parked(old: OperationRecord) -> OperationRecord:
        if old.instance_id != record.instance_id:
            raise StateConflictError(old.state, "another attempt is at work already")
        return old.model_copy(update={"state": _S.PARKED, "problem": problem})

    await operations.transition(record.application, record.id, parked, entry, expect=[record.state])
    await leases.release(record.application, record.id)
