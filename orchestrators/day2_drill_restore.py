"""A restore drill: whether the backups can be restored, how long that takes, and nothing of it is left."""

from datetime import datetime

import azure.durable_functions as df

from orchestrators._day2 import acted, begin, day2, end, judged, run_of, settled
from orchestrators._steps import StepFailedError, Steps, call
from shared.models.day2_backups import Checked, DrillEnd, Restore
from shared.models.operations import OperationInput, OperationSnapshot, OperationState
from shared.models.problem import Problem
from shared.models.runs import ActivityInput
from shared.outcome import Outcome

_S = OperationState
_NOTED = 2  # the flow version from which on a drill is noted
_KEPT = 3  # the one from which on a clean-up that is refused takes nothing from what the drill found
_KEPT_TITLE, _AGAIN = "What the drill restored is still there", "It is tried again until nothing is left."


@day2("drill-restore", "Prove that the data of a stage can be restored, and measure it.", Restore, one_stage=True)
def day2_drill_restore(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Restore to a place apart, check, measure, and always remove that place, also after a failure."""
    operation = yield from begin(context, data)
    operation = yield from judged(context, data, operation, "list_restores")
    if operation.state != _S.ACTING:
        return Outcome.done({"state": operation.state})
    payload = ActivityInput(run=run_of(data, environment=operation.environment))
    began = context.current_utc_datetime
    failure: StepFailedError | None = None
    stop: Problem | None = None
    facts: dict[str, object] = {}
    try:
        stop = yield from acted(context, data, operation, "ensure_restored_servers")
        if stop is None:
            document = yield from call(context, "read_restored_servers", payload, data.pace)
            facts = _measured(Checked.model_validate(document), began, context.current_utc_datetime, operation)
    except StepFailedError as error:
        failure = error
    if data.flow_version >= _NOTED:
        problem = failure.outcome.problem if failure else stop
        found = _noted(payload, facts, problem, began, context.current_utc_datetime)
        yield from call(context, "note_drill", found, data.pace)
    kept = yield from _removed(context, data, payload)
    if failure:
        told = failure.outcome.problem
        raise StepFailedError(failure.outcome.model_copy(update={"problem": _with(told, kept)})) from failure
    if stop is None and not facts["passed"]:
        detail = "What was restored is not what it should be; `facts` of the operation has the checks."
        stop = Problem(code="drill-failed", title="The drill failed", detail=detail)
        yield from end(context, data, state=_S.PARTIAL, problem=_with(stop, kept), facts=facts)
    else:
        yield from end(context, data, state=_S.PARTIAL if kept else None, problem=_with(stop, kept), facts=facts)
    return Outcome.done()


def _removed(
    context: df.DurableOrchestrationContext, data: OperationInput, payload: ActivityInput
) -> Steps[Problem | None]:
    """Remove what was restored; returns why something stayed: a timer tries again."""
    try:
        yield from settled(context, data, "remove_restored_servers", payload)
    except StepFailedError as error:
        if data.flow_version < _KEPT:
            raise
        why = error.outcome.problem.detail if error.outcome.problem else str(error.outcome.status)
        return Problem(code="drill-kept", title=_KEPT_TITLE, detail=f"{why.rstrip('.')}. {_AGAIN}")
    return None


def _with(problem: Problem | None, kept: Problem | None) -> Problem | None:
    """What went wrong, and what stayed because the clean-up was refused."""
    if problem and kept:
        return problem.model_copy(update={"detail": f"{problem.detail} {kept.title}: {kept.detail}"[:1000]})
    return problem or kept


def _noted(
    payload: ActivityInput, facts: dict[str, object], problem: Problem | None, began: datetime, ended: datetime
) -> DrillEnd:
    """What is noted before anything is removed, so that nothing that was measured can be lost."""
    measured = {name: facts[name] for name in ("checks", "rtoSeconds", "rpoSeconds") if name in facts}
    stopped = problem.detail if problem else "it was cancelled"
    times = {"begunAt": began.isoformat(), "endedAt": ended.isoformat()}
    return DrillEnd.model_validate({**payload.document(), **times, **measured, "stopped": stopped if not facts else ""})


def _measured(checked: Checked, began: datetime, ended: datetime, operation: OperationSnapshot) -> dict[str, object]:
    """The checks, the recovery time, and how much of the newest data would have been lost; in seconds."""
    moment = datetime.fromisoformat(str(operation.facts["pointInTime"]))
    return {
        "passed": checked.passed,
        "checks": [check.document() for check in checked.checks],
        "rtoSeconds": round((ended - began).total_seconds()),
        "rpoSeconds": round((began - moment).total_seconds()),
    }
