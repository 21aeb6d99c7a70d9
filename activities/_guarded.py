"""Doing the planned actions of a Day-2 operation: each asks the guard, each fails for itself, each is done once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared import shields
from shared.canonical import digest
from shared.clock import utc_now
from shared.errors import AppStoreError, ConflictError, NotFoundError, TransientIntegrationError
from shared.guard import Action, Facts, Permit, Verdict, decide, permit
from shared.guard_rules import guard_rule
from shared.log import LOGGER, redact
from shared.models.operations import (
    ActionRecord,
    ActionState,
    OperationRecord,
    OperationState,
    PlannedAction,
    Survey,
    Wave,
    WaveResult,
)
from shared.models.runs import ActivityInput, Effect
from shared.register import controls, operations
from shared.register.audit import Entry

_S = OperationState
KILLED = "the kill switch is on"
_UNCHANGED = frozenset({ActionState.DONE, ActionState.GONE, ActionState.EXEMPT, ActionState.REFUSED})


class UnderWayError(Exception):
    """The vendor works on it; look again later. The text says on what."""


@dataclass(frozen=True)
class Done:
    """What an action did.

    Attributes:
        detail: a few words.
        result: what later steps need to know; no secrets.
        gone: there was nothing left to do.
    """

    detail: str = ""
    result: dict[str, Any] | None = None
    gone: bool = False


type Work = Callable[[ActionRecord, Permit], Awaitable[Done]]
type Locked = Callable[[PlannedAction], Awaitable[bool]]


def action_of(planned: PlannedAction, application: str) -> Action:
    """A planned action as the guard sees it."""
    return Action(
        rule=planned.rule,
        kind=planned.kind,
        target=planned.target,
        owner=application,
        environment=planned.environment,
        destructive=planned.destructive,
        reversible=planned.reversible,
    )


async def keep_survey(data: ActivityInput, found: Survey) -> Effect:
    """Write down what a survey found; an operation that is beyond its survey keeps what it has.

    The actions are ordered as they were found, and dealt into waves: the canary, then the shares of the rule.
    """
    run = data.run
    record = await operations.get(run.application, run.request_id)
    if record.state is not _S.SURVEYING:
        return Effect(detail=f"the operation is {record.state}")
    rows = _dealt(record, found.actions)
    await operations.plan_actions(record.application, rows)
    await operations.forget_actions(record.application, record.id, len(rows))
    update = {
        "digest": digest([row.action.document() for row in rows]),
        "scanned": found.scanned,
        "waves": rows[-1].wave + 1 if rows else 0,
        "unreadable": found.unreadable[:50],
        "summary": found.summary,
        "facts": {**record.facts, **found.facts},
    }
    detail = found.summary or f"{len(rows)} of {found.scanned} to change"
    entry = Entry(f"{record.id}:surveyed:{record.attempt}", utc_now(), "appstore", "survey", record.id, detail[:1000])
    await operations.transition(
        record.application, record.id, lambda old: old.model_copy(update=update), entry, expect=[_S.SURVEYING]
    )
    return Effect(detail=detail)


def _dealt(record: OperationRecord, planned: Sequence[PlannedAction]) -> list[ActionRecord]:
    if not planned:
        return []
    ends = guard_rule(planned[0].rule).wave_ends(len(planned))
    return [
        ActionRecord(
            operation_id=record.id,
            order=order,
            wave=next(wave for wave, end in enumerate(ends) if order < end),
            action=action,
            updated_at=utc_now(),
        )
        for order, action in enumerate(planned)
    ]


async def carry_out(data: Wave, work: Work, locked: Locked | None = None) -> WaveResult:
    """Do the actions of one wave. One that fails does not keep the others from it.

    The kill switch stops them all, and so does whoever cancels the operation.

    Args:
        data: which wave of which operation.
        work: does one action, and does nothing when it was done before; raises what went wrong.
        locked: whether a lock lies on the target of an action; asked for destructive ones.

    Raises:
        TransientIntegrationError: some actions did not get through; a repeat tries only those.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    rows = [row async for row in operations.actions(record.application, record.id, data.wave)]
    todo = [row for row in rows if row.state not in _UNCHANGED]
    spent = await _spent(todo)
    stop, busy, transient = None, None, None
    for row in todo:
        facts = await _facts(record, row.action, locked, spent=row.order in spent)
        if stop := KILLED if facts.kill_switch else await _over(record):
            break
        try:
            await _one(record, row, facts, work)
        except UnderWayError as error:
            busy = str(error)
        except TransientIntegrationError as error:
            transient = error
    if transient is not None:
        raise transient
    counts = await operations.counts(record.application, record.id)
    return WaveResult(
        detail=busy or f"{counts.done} done, {counts.failed} failed",
        counts=counts,
        stop=stop or await _stop(rows, data.wave, counts.failed),
        busy=busy,
    )


async def _over(record: OperationRecord) -> str | None:
    """Why the operation is over by now: somebody cancelled it, perhaps while its wave is at work."""
    now = await operations.get(record.application, record.id)
    return f"the operation is {now.state}" if now.state is not record.state else None


async def _spent(todo: Sequence[ActionRecord]) -> set[int]:
    """The actions for which the budget has nothing left; what was allowed to begin was counted then."""
    new = [row for row in todo if not (row.tries and row.verdict == Verdict.ALLOW)]
    if not new:
        return set()
    name = new[0].action.rule
    budget = guard_rule(name).budget
    given = await controls.spend(name, len(new), hour=budget.hour, day=budget.day, now=utc_now())
    return {row.order for row in new[given:]}


async def _facts(record: OperationRecord, planned: PlannedAction, locked: Locked | None, *, spent: bool) -> Facts:
    action = action_of(planned, record.application)
    found = await shields.facts(
        action,
        application=record.application,
        owned_by=planned.owned_by or None,
        locked=bool(locked and planned.destructive and await locked(planned)),
        approved=record.digest is not None and record.approved_digest == record.digest,
    )
    return Facts(**{**found.__dict__, "spent": spent})


async def _one(record: OperationRecord, row: ActionRecord, facts: Facts, work: Work) -> None:
    action = action_of(row.action, record.application)
    decision = decide(action, facts)
    if decision.verdict is not Verdict.ALLOW:
        await _write(record, row, _refused(facts), verdict=decision.verdict, reason=decision.reason)
        return
    try:
        done = await work(row, permit(action, facts))
    except (TransientIntegrationError, UnderWayError) as error:
        await _write(record, row, ActionState.PLANNED, detail=redact(str(error))[:500], verdict=decision.verdict)
        raise
    except NotFoundError as error:
        await _write(record, row, ActionState.GONE, detail=redact(str(error))[:500], verdict=decision.verdict)
    except Exception as error:  # noqa: BLE001 - one bad action must not keep the others from being done
        if not isinstance(error, AppStoreError):
            LOGGER.exception("an action of %s failed unexpectedly", record.id)
        await _write(record, row, _failed(error), detail=redact(str(error))[:500], verdict=decision.verdict)
        await shields.tell_failure(action.rule)
    else:
        state = ActionState.GONE if done.gone else ActionState.DONE
        await _write(record, row, state, detail=done.detail, verdict=decision.verdict, result=done.result or {})
        await shields.tell_success(action.rule)


def _refused(facts: Facts) -> ActionState:
    """What waits for the budget or a pause stays planned; the next run does it."""
    if facts.spent or facts.paused:
        return ActionState.PLANNED
    return ActionState.EXEMPT if facts.exempt else ActionState.REFUSED


def _failed(error: Exception) -> ActionState:
    """A lock that was laid on meanwhile is a shield, not a failure."""
    locked = isinstance(error, ConflictError) and "ScopeLocked" in str(error)
    return ActionState.REFUSED if locked else ActionState.FAILED


async def _write(record: OperationRecord, row: ActionRecord, state: ActionState, **update: Any) -> None:
    changed = {"state": state, "tries": row.tries + 1, "updated_at": utc_now(), **update}
    await operations.write_action(record.application, row.model_copy(update=changed))


async def _stop(rows: Sequence[ActionRecord], wave: int, failed: int) -> str | None:
    """Why the next wave must not begin: the canary failed, or the rule pauses.

    What failed elsewhere under this rule is the breaker's: a canary that is still under way has not failed by it.
    """
    if not rows:
        return None
    first = rows[0]
    name = first.action.rule
    breaker = await controls.breaker(name)
    if breaker.opened_at is not None:
        return f"the rule {name} pauses after {breaker.failures} failures in a row"
    if wave == 0 and failed:
        return "the canary failed"
    return None
