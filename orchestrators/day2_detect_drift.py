"""Does an environment still look as its code says? What differs becomes findings; what is safe is put right."""

import azure.durable_functions as df

from orchestrators._day2 import begin, day2, decided, end, run_of
from orchestrators._steps import Steps, call, follow, leased
from shared.instance_ids import iac_run
from shared.models.drift import DetectDrift, DriftFound, DriftStarted, ReadDrift, ReconciliationStarted, StartDrift
from shared.models.operations import OperationInput, OperationSnapshot, OperationState, Wave
from shared.models.problem import Problem
from shared.models.runs import ActivityInput, IacRun, PipelineRun, Run
from shared.outcome import Outcome

_S = OperationState
_PROPOSES = 2  # the flow version from which on there are pull requests


@day2("detect-drift", "Compare an environment with its code.", DetectDrift, one_stage=True)
def day2_detect_drift(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Compare by the pipeline, keep one issue for each finding, and apply a saved plan as far as the guard allows."""
    operation = yield from begin(context, data)
    run = run_of(data, environment=operation.environment)
    if operation.state == _S.SURVEYING:
        commit, found = yield from _compared(context, data, run)
        if not operation.dry_run:
            yield from _told(context, data, run)
        if found.reconcile:
            yield from _planned(context, data, run, commit)
        document = yield from call(context, "judge_operation", ActivityInput(run=run_of(data)), data.pace)
        operation = OperationSnapshot.model_validate(document)
    if operation.state == _S.AWAITING_APPROVAL:
        operation = yield from decided(context, data)
    if operation.state == _S.ACTING:
        yield from leased(context, run_of(data), data.pace)
        stop = yield from _reconciled(context, data, operation.environment)
        operation = yield from end(context, data, problem=stop)
    return Outcome.done({"state": operation.state})


def _compared(context: df.DurableOrchestrationContext, data: OperationInput, run: Run) -> Steps[tuple[str, DriftFound]]:
    """Have the pipeline compare; no lock of ours is taken for that."""
    run_id = iac_run(data.request_id, str(run.environment), "drift", str(data.attempt))
    document = yield from call(context, "start_drift", StartDrift(run=run, run_id=run_id), data.pace)
    started = DriftStarted.model_validate(document)
    ended = yield from follow(context, run, started.pipeline, data.pace)
    reading = ReadDrift(run=run, run_id=run_id, pipeline=ended, commit=started.commit)
    found = DriftFound.model_validate((yield from call(context, "read_drift", reading, data.pace)))
    return started.commit, found


def _planned(context: df.DurableOrchestrationContext, data: OperationInput, run: Run, commit: str) -> Steps[None]:
    """Have a plan saved that puts it right, and survey it: what is judged and approved is exactly this plan."""
    run_id = iac_run(data.request_id, str(run.environment), "plan", str(data.attempt))
    plan = IacRun(run=run, run_id=run_id, action="plan", commit=commit)
    started = PipelineRun.model_validate((yield from call(context, "start_plan", plan, data.pace)))
    ended = yield from follow(context, run, started, data.pace)
    reading = ReadDrift(run=run, run_id=run_id, pipeline=ended, commit=commit)
    yield from call(context, "list_reconciliation", reading, data.pace)


def _reconciled(
    context: df.DurableOrchestrationContext, data: OperationInput, environment: str | None
) -> Steps[Problem | None]:
    """Apply the saved plan.

    Returns:
        What stopped it; what the guard kept back says so itself.
    """
    run = run_of(data, "wave-0", environment)
    document = yield from call(context, "set_reconciliation", Wave(run=run, wave=0), data.pace)
    started = ReconciliationStarted.model_validate(document)
    if started.pipeline is None:
        if started.stop is None:
            return None
        return Problem(code="stopped", title="The operation was stopped", detail=f"Stopped: {started.stop}.")
    ended = yield from follow(context, run, started.pipeline, data.pace)
    reading = ReadDrift(run=run, run_id=started.run_id, pipeline=ended)
    yield from call(context, "read_reconciliation", reading, data.pace)
    yield from _told(context, data, run)
    return None


def _told(context: df.DurableOrchestrationContext, data: OperationInput, run: Run) -> Steps[None]:
    """Bring issues and pull request into line with the findings."""
    yield from call(context, "ensure_drift_items", ActivityInput(run=run), data.pace)
    if data.flow_version >= _PROPOSES:
        yield from call(context, "ensure_drift_proposal", ActivityInput(run=run), data.pace)
