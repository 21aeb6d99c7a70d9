"""The Day-2 operation itself: its state, its judgement and its end. These write the register and call no vendor."""

from datetime import datetime, timedelta

from activities._activity import look
from activities._guarded import action_of
from shared import notices, shields
from shared.clock import utc_now
from shared.errors import StateConflictError
from shared.guard import Mode, Verdict, decide
from shared.guard_rules import GuardRule, guard_rule
from shared.models.operations import (
    ActionRecord,
    ActionState,
    Counts,
    EndOperation,
    Occasion,
    OperationRecord,
    OperationSnapshot,
    OperationState,
)
from shared.models.problem import Problem
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput
from shared.register import controls, intents, leases, operations, requests
from shared.register._table import Write
from shared.register.audit import Entry
from shared.register.controls import Controls
from shared.settings import AppStoreSettings, load

_S = OperationState
_NAMED = 5
_NEEDS_SOMEBODY = frozenset({_S.PARKED, _S.PARTIAL, _S.REFUSED, _S.EXPIRED})
_WORKING = (_S.RECEIVED, _S.SURVEYING, _S.AWAITING_APPROVAL, _S.ACTING)


@look
async def begin_operation(data: ActivityInput) -> OperationSnapshot:
    """Take the operation to work and report where it stands.

    Idempotency: received becomes surveying once; any other state is only reported.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    if record.state is _S.RECEIVED:
        entry = _entry(record, "begin", f"{record.operation} begins")
        record = await _move(record, {"state": _S.SURVEYING}, entry, expect=(_S.RECEIVED,))
    return _snapshot(record)


@look
async def read_operation(data: ActivityInput) -> OperationSnapshot:
    """Report where the operation stands.

    Idempotency: reads only.
    """
    return _snapshot(await operations.get(data.run.application, data.run.request_id))


@look
async def judge_operation(data: ActivityInput) -> OperationSnapshot:
    """Ask the guard about every planned action: go on, wait for a person, only observe, or refuse.

    Idempotency: an operation that is judged already is only reported.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    if record.state is not _S.SURVEYING:
        return _snapshot(record)
    rows = [row async for row in operations.actions(record.application, record.id)]
    update = await _judgement(record, rows)
    counts = await operations.counts(record.application, record.id)
    detail = str(update.pop("detail"))
    entry = _entry(record, "judge", detail)
    record = await _move(record, {**update, "counts": counts}, entry, expect=(_S.SURVEYING,))
    return _snapshot(record)


async def _judgement(record: OperationRecord, rows: list[ActionRecord]) -> dict[str, object]:
    """What follows from the survey: the new state, why, and until when a person may decide."""
    if not rows:
        state = _S.PARTIAL if record.unreadable else _S.SUCCEEDED
        return {"state": state, "problem": _unreadable(record), "detail": "there is nothing to change"}
    rule = guard_rule(rows[0].action.rule)
    standing = await controls.read_controls()
    asked = [_asked(record, row, rule, standing) for row in rows]
    await operations.plan_actions(record.application, asked)
    if record.dry_run or rule.mode is Mode.OBSERVE:
        return {"state": _S.OBSERVED, "detail": f"{len(rows)} changes were observed, none was made"}
    willing = [row for row in asked if row.verdict != Verdict.REFUSE]
    if not willing:
        return _nothing_allowed(record, asked)
    limit = min(rule.blast_radius.limit(record.scanned), rule.budget.run)
    if len(willing) > limit:
        detail = (
            f"{len(willing)} of {record.scanned} would change; "
            f"the rule {rows[0].action.rule} allows {limit} in one run. None was changed."
        )
        return {"state": _S.REFUSED, "problem": _problem("blast-radius", "Too much at once", detail), "detail": detail}
    if any(row.verdict == Verdict.PROPOSE for row in willing):
        until = datetime.fromisoformat(utc_now()) + timedelta(hours=rule.decide_hours)
        before = until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"state": _S.AWAITING_APPROVAL, "decide_before": before, "detail": "a person decides"}
    return {"state": _S.ACTING, "detail": f"{len(willing)} changes begin"}


def _nothing_allowed(record: OperationRecord, asked: list[ActionRecord]) -> dict[str, object]:
    """The guard refused all of them: that is as it should be only where exemptions take every one from the rule."""
    refused = next((row for row in asked if row.state is not ActionState.EXEMPT), None)
    if refused is None:
        state = _S.PARTIAL if record.unreadable else _S.SUCCEEDED
        return {"state": state, "problem": _unreadable(record), "detail": asked[0].reason}
    problem = _problem("guard-refused", "The guard refused", refused.reason)
    return {"state": _S.REFUSED, "problem": problem, "detail": refused.reason}


def _asked(record: OperationRecord, row: ActionRecord, rule: GuardRule, standing: Controls) -> ActionRecord:
    """The row of an action with what the guard says about it before anything is done."""
    action = action_of(row.action, record.application)
    facts = shields.facts_of(
        action,
        standing,
        rule,
        application=record.application,
        owned_by=row.action.owned_by or None,
    )
    decision = decide(action, facts)
    update: dict[str, object] = {"verdict": decision.verdict, "reason": decision.reason}
    if decision.verdict is Verdict.REFUSE and not record.dry_run and rule.mode is not Mode.OBSERVE:
        update["state"] = ActionState.EXEMPT if facts.exempt else ActionState.REFUSED
    return row.model_copy(update=update)


@look
async def end_operation(data: EndOperation) -> OperationSnapshot:
    """Write how the operation ended, told from its actions, and give the application's lease back.

    Idempotency: one end per attempt; an operation that somebody ended meanwhile stays as it is, and one that was
    approved when its time was up does not expire.
    """
    run = data.run
    record = await operations.get(run.application, run.request_id)
    expected = (_S.AWAITING_APPROVAL,) if data.state is _S.EXPIRED else _WORKING
    if record.attempt != run.attempt or record.state not in expected:
        await leases.release(record.application, record.id)
        return _snapshot(record)
    counts = await operations.counts(record.application, record.id)
    state, problem = await _ended(record, counts, data)
    update = {"state": state, "counts": counts, "problem": problem, "facts": {**record.facts, **data.facts}}
    detail = problem.detail if problem else f"{counts.done} done"
    try:
        record = await _move(record, update, _entry(record, state, detail), expect=expected)
    except StateConflictError:
        record = await operations.get(run.application, run.request_id)
    await leases.release(record.application, record.id)
    return _snapshot(record)


async def _ended(record: OperationRecord, counts: Counts, data: EndOperation) -> tuple[OperationState, Problem | None]:
    """What the flow says of it. That a part was done is not believed when its actions say that nothing was or is.

    Then it is told from them; and what the flow makes of it is left out when it was the guard who kept them back.
    """
    if data.state is None:
        return await _told(record, counts, data.problem)
    something = counts.done or counts.gone or counts.planned  # what is planned still may be under way
    nothing = counts.failed or counts.refused or counts.exempt
    if data.state is not _S.PARTIAL or something or not nothing:
        return data.state, data.problem
    return await _told(record, counts, data.problem if counts.failed else None)


async def _told(
    record: OperationRecord, counts: Counts, problem: Problem | None
) -> tuple[OperationState, Problem | None]:
    left = counts.failed + counts.planned
    if not left and not counts.refused and problem is None:
        return (_S.PARTIAL, _unreadable(record)) if record.unreadable else (_S.SUCCEEDED, None)
    if problem and not (left or counts.refused or counts.done):
        return _S.PARKED, problem
    named = await _first_failures(record)
    detail = (
        f"{counts.done} done, {counts.failed} failed, {counts.refused} refused, {counts.planned} not begun. {named}"
        f"{problem.detail if problem else ''}"
    )
    told = _problem(problem.code if problem else "partial", "Not everything was done", detail.strip())
    if counts.done:
        return _S.PARTIAL, told
    return (_S.REFUSED if counts.refused and not counts.failed else _S.PARKED), told


async def _first_failures(record: OperationRecord) -> str:
    """Actions that were not done, with the reason, first those that failed; the rest is counted."""
    rank = {ActionState.FAILED: 0, ActionState.REFUSED: 1, ActionState.PLANNED: 2}
    found = [row async for row in operations.actions(record.application, record.id) if row.state in rank]
    named = sorted(found, key=lambda row: rank[row.state])[:_NAMED]
    return "".join(f"{row.action.target}: {_why_not(row)}. " for row in named)


def _why_not(row: ActionRecord) -> str:
    """Why an action was not done: what went wrong, what the guard has against it, or that nothing came to it.

    That a person has to decide is a reason only when it was asked for just before: afterwards somebody has decided.
    """
    asked = row.verdict == Verdict.PROPOSE and row.tries
    against = row.reason if row.verdict == Verdict.REFUSE or asked else ""
    return row.detail or against or "not begun"


def _unreadable(record: OperationRecord) -> Problem | None:
    if not record.unreadable:
        return None
    detail = f"{len(record.unreadable)} could not be judged: {'; '.join(record.unreadable[:_NAMED])}"
    return _problem("partial", "Not everything could be judged", detail)


def _problem(code: str, title: str, detail: str) -> Problem:
    return Problem(code=code, title=title, detail=detail[:1000])


async def _move(
    record: OperationRecord, update: dict[str, object], entry: Entry, *, expect: tuple[OperationState, ...]
) -> OperationRecord:
    application = await requests.application(record.application)
    request = await requests.find(record.application, application.request_id) if application else None
    return await operations.transition(
        record.application,
        record.id,
        lambda old: old.model_copy(update=update),
        entry,
        expect=expect,
        extra=lambda new, _rows: _notice(new, request) if request else [],
    )


def _notice(record: OperationRecord, request: RequestRecord) -> list[Write]:
    """The message that the operation needs somebody, written together with its state; the sweep sends it.

    Whoever asked for it looks at the answer; what an event, an alert or a timer began nobody looks at.
    """
    waiting = record.state is _S.AWAITING_APPROVAL
    if not waiting and (record.state not in _NEEDS_SOMEBODY or record.occasion is Occasion.REQUEST):
        return []
    base = f"{load(AppStoreSettings).public_url.rstrip('/')}/api"
    occasion = (int(record.id.removeprefix("op-")[:8], 16) * 100 + record.attempt) * 2 + waiting
    message = notices.operation(record, request, base)
    return [intents.insertion(intent) for intent in notices.due(request, message, occasion, record.updated_at)]


def _entry(record: OperationRecord, action: str, detail: str) -> Entry:
    return Entry(f"{record.id}:{action}:{record.attempt}", utc_now(), "appstore", action, record.id, detail[:1000])


def _snapshot(record: OperationRecord) -> OperationSnapshot:
    return OperationSnapshot(
        detail=record.state,
        state=record.state,
        environment=record.environment,
        parameters=record.parameters,
        dry_run=record.dry_run,
        waves=record.waves,
        decide_before=record.decide_before,
        facts=record.facts,
    )
