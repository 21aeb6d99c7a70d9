"""The promotion itself: its state and its end. These write the register and call no vendor."""

from activities._activity import look
from activities._promotion import move
from shared.clock import utc_now
from shared.errors import StateConflictError
from shared.models.promotions import (
    PromotionKind,
    PromotionRecord,
    PromotionSnapshot,
    PromotionState,
    SetPromotionState,
)
from shared.models.records import StepState
from shared.models.runs import ActivityInput, Nothing
from shared.register import leases, promotions, steps
from shared.register.audit import Entry

_S = PromotionState
_WORKING = (_S.RECEIVED, _S.EVALUATING, _S.AWAITING_APPROVAL, _S.DEPLOYING, _S.VERIFYING)
_BEFORE = {
    _S.VERIFYING: (_S.DEPLOYING, _S.VERIFYING),
    _S.SUCCEEDED: (_S.VERIFYING,),
    _S.DEGRADED: (_S.VERIFYING,),
    _S.REFUSED: (_S.DEPLOYING,),
    _S.PARKED: _WORKING,
    _S.EXPIRED: (_S.AWAITING_APPROVAL,),
}
_ENDS = frozenset({_S.SUCCEEDED, _S.DEGRADED, _S.REFUSED, _S.PARKED, _S.EXPIRED})


@look
async def begin_promotion(data: ActivityInput) -> PromotionSnapshot:
    """Take the promotion to work and report where it stands.

    Idempotency: received becomes evaluating once; any other state is only reported.
    """
    record = await promotions.get(data.run.application, data.run.request_id)
    if record.state is _S.RECEIVED:
        entry = _entry(record, "evaluate", "its gates are being judged")
        change = {"state": _S.EVALUATING}
        record = await promotions.transition(
            record.application, record.id, lambda old: old.model_copy(update=change), entry, expect=[_S.RECEIVED]
        )
    return await _snapshot(record)


@look
async def read_promotion(data: ActivityInput) -> PromotionSnapshot:
    """Report where the promotion stands.

    Idempotency: reads only.
    """
    return await _snapshot(await promotions.get(data.run.application, data.run.request_id))


@look
async def set_promotion_state(data: SetPromotionState) -> Nothing:
    """Write where the promotion is now; at its end the lease is given back, and what it rolled back is marked so.

    Idempotency: one transition per attempt and state; a promotion that somebody ended meanwhile stays as it is.
    """
    run, state = data.run, data.state
    record = await promotions.get(run.application, run.request_id)
    if record.attempt != run.attempt:
        return Nothing(detail=f"attempt {run.attempt} is over")
    detail = data.problem.detail if data.problem else f"the promotion is {state.replace('_', ' ')}"
    update = {"state": state, "problem": data.problem}
    try:
        record = await move(record, update, _entry(record, state, detail), expect=_BEFORE[state])
    except StateConflictError as error:
        if error.state != state:
            return Nothing(detail=f"not {state}: the promotion is {error.state}")
        record = await promotions.get(run.application, run.request_id)
    if state in _ENDS:
        await _end(record)
    return Nothing(detail=state)


async def _end(record: PromotionRecord) -> None:
    if record.kind is PromotionKind.ROLL_BACK and record.rolls_back and record.state in (_S.SUCCEEDED, _S.DEGRADED):
        original = await promotions.get(record.application, record.rolls_back)
        entry = Entry(
            f"{original.id}:rolled_back", utc_now(), "appstore", "rolled_back", original.id, f"by {record.id}"
        )
        if original.state is not _S.ROLLED_BACK:
            await promotions.transition(
                original.application,
                original.id,
                lambda old: old.model_copy(update={"state": _S.ROLLED_BACK}),
                entry,
                expect=[_S.SUCCEEDED, _S.DEGRADED, _S.PARKED],
            )
    await leases.release(record.application, record.id)


def _entry(record: PromotionRecord, action: str, detail: str) -> Entry:
    return Entry(f"{record.id}:{action}:{record.attempt}", utc_now(), "appstore", action, record.id, detail[:1000])


async def _snapshot(record: PromotionRecord) -> PromotionSnapshot:
    done = [step for step in await steps.of_request(record.application, record.id) if step.state is StepState.DONE]
    return PromotionSnapshot.of(record, done=[step.name for step in done])
