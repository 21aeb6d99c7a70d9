"""What is told when an attempt to onboard or to undo ends: its span, those of its branches, and how long it took.

All of it comes from the rows, because the processes that did the work may be gone. So a run that was killed in the
middle has a whole trace.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from shared.log import LOGGER
from shared.models.records import RUNNING_STATES, Decision, DecisionRecord, RequestRecord, RequestState, StepRecord
from shared.models.runs import Run
from shared.register._table import scan
from shared.telemetry import ids, spans
from shared.telemetry.metrics import measure
from shared.telemetry.pipeline import pipeline

_S = RequestState
_MADE = frozenset({_S.SUCCEEDED, _S.DEGRADED, _S.UNDONE})
_PLANNED = "read_plan_result"


async def tell_change(old: RequestRecord, new: RequestRecord) -> None:
    """Tell that an attempt has ended, if this change of the state ended it; free without an exporter."""
    if old.state in RUNNING_STATES and new.state not in RUNNING_STATES:
        await _tell(new, undo=old.state is _S.UNDOING)


async def tell_cleaning(record: RequestRecord) -> None:
    """Tell that the proposals of a request that was given up are taken back: its state did not change any more."""
    await _tell(record, undo=True)


async def _tell(record: RequestRecord, *, undo: bool) -> None:
    if pipeline() is None:
        return
    try:
        await _tell_all(record, undo=undo)
    except Exception:  # noqa: BLE001 - the state is written: that its trace lacks something must not look like a failure
        LOGGER.exception("the end of %s was not told to telemetry", record.id)


async def _tell_all(record: RequestRecord, *, undo: bool) -> None:
    steps = await _steps(record, undo=undo)
    started = await _started(record, undo=undo)
    _span_of_run(record, started, undo=undo)
    for branch in _branches(steps):
        _span_of_branch(record, branch, undo=undo, not_before=started)
    _measure(record, started, steps, undo=undo)
    if not undo:
        _span_of_approval(record, started, steps)


async def _steps(record: RequestRecord, *, undo: bool) -> list[StepRecord]:
    """The steps that the attempt tried."""
    prefix = f"{'undo-step' if undo else 'step'}:{record.id}:"
    rows = [StepRecord.model_validate(row.document) async for row in scan(record.application, prefix)]
    return [step for step in rows if step.run_attempt == record.attempt]


async def _started(record: RequestRecord, *, undo: bool) -> str:
    """When the attempt began: with the request, or with the decision to try again or to undo."""
    kinds = (Decision.UNDO,) if undo else (Decision.RETRY,)
    rows = [DecisionRecord.model_validate(row.document) async for row in scan(record.application, _decisions(record))]
    times = [row.decided_at for row in rows if row.decision in kinds]
    if undo and not times:  # a request that was given up: its end began the removal
        times = [row.decided_at for row in rows if row.decision is not Decision.APPROVE]
    return max(times) if times and (undo or record.attempt > 1) else record.created_at


def _decisions(record: RequestRecord) -> str:
    return f"decision:{record.id}:"


def _branches(steps: Iterable[StepRecord]) -> list[list[StepRecord]]:
    found: dict[tuple[str, str], list[StepRecord]] = defaultdict(list)
    for step in steps:
        found[step.branch, step.environment or ""].append(step)
    return list(found.values())


def _span_of_run(record: RequestRecord, started: str, *, undo: bool) -> None:
    mine = ids.run_span(record.id, attempt=record.attempt, undo=undo)
    root = ids.root_of(record.id)
    kind = "undo" if undo else "onboard"
    span = spans.Span(kind, "internal", ids.trace_of(record.id), mine, 0 if mine == root else root)
    span.start = spans.nanoseconds(started)
    span.note(
        {
            "appstore.request.id": record.id,
            "appstore.application": record.application,
            "appstore.archetype": record.body.archetype,
            "appstore.attempt": record.attempt,
            "appstore.outcome": record.state,
            "appstore.code": record.problem.code if record.problem else None,
        }
    )
    if record.state is _S.PARKED:
        span.error = record.problem.code if record.problem else record.state
    span.tell(spans.nanoseconds(record.updated_at))


def _span_of_branch(record: RequestRecord, steps: list[StepRecord], *, undo: bool, not_before: str) -> None:
    first = steps[0]
    run = Run(
        request_id=record.id,
        application=record.application,
        branch=first.branch,
        environment=first.environment,
        attempt=record.attempt,
        undo=undo,
    )
    name = f"{first.branch} {first.environment}" if first.environment else first.branch
    parent = ids.run_span(record.id, attempt=record.attempt, undo=undo)
    span = spans.Span(name, "internal", ids.trace_of(record.id), ids.branch_span(run), parent)
    # A step that an earlier attempt began keeps its first start; this attempt began it with its latest try.
    begun = [step.started_at if step.started_at >= not_before else step.tried_at or not_before for step in steps]
    span.start = spans.nanoseconds(min(begun))
    span.note(
        {"appstore.request.id": record.id, "appstore.branch": run.branch, "appstore.environment": run.environment}
    )
    span.error = next((step.problem.code for step in steps if step.problem and step.state == "failed"), None)
    span.tell(spans.nanoseconds(max(step.finished_at or record.updated_at for step in steps)))


def _span_of_approval(record: RequestRecord, started: str, steps: list[StepRecord]) -> None:
    """The wait between plan and approval, if it was in this attempt."""
    planned = [step.finished_at for step in steps if step.name == _PLANNED and step.finished_at]
    approved = _approved(record)
    if not planned or not approved or approved < started:
        return
    parent = ids.run_span(record.id, attempt=record.attempt, undo=False)
    mine = ids.approval_span(record.id, record.attempt)
    span = spans.Span("wait for approval", "internal", ids.trace_of(record.id), mine, parent)
    span.start = spans.nanoseconds(min(max(planned), approved))
    span.note({"appstore.request.id": record.id, "appstore.branch": "approval"})
    span.tell(spans.nanoseconds(approved))


def _approved(record: RequestRecord) -> str | None:
    """When the last approval was given."""
    times = [item.decided_at for item in record.approvals if item.decision is Decision.APPROVE]
    return max(times) if times and record.approved_digest else None


def _measure(record: RequestRecord, started: str, steps: list[StepRecord], *, undo: bool) -> None:
    archetype, outcome = record.body.archetype, str(record.state)
    labels = {
        "appstore.archetype": archetype,
        "appstore.outcome": outcome,
        "appstore.run": "undo" if undo else "onboard",
    }
    measure("appstore.request.duration", _seconds(started, record.updated_at), labels)
    approved = _approved(record)
    if undo or approved is None:
        return
    begun = max(approved, started)  # a retry begins anew: the time that a parked request lay there is not its time
    for environment in record.body.environments:
        ends = [step.finished_at for step in steps if step.environment == environment and step.finished_at]
        end = max(ends) if ends and record.state in _MADE else record.updated_at
        measure(
            "appstore.provision.duration",
            _seconds(begun, end),
            {"appstore.archetype": archetype, "appstore.environment": str(environment), "appstore.outcome": outcome},
        )


def _seconds(start: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
