"""Remove everything that a request made, in the reverse order of making, and nothing else."""

from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._notices import park, tell
from orchestrators._steps import StepFailedError, Steps, call, follow
from shared.instance_ids import iac_run
from shared.models.plan import MadeObject
from shared.models.problem import Problem
from shared.models.runs import ActivityInput, FinishRequest, IacRun, ParkRequest, PipelineRun, Run, UndoInput
from shared.models.undo import DestroyPlan, DestroyResult, Removed, Settled, UndoWork
from shared.outcome import Outcome, OutcomeStatus

# What was begun outside the environments and what removes it, the latest first.
_REMOVALS = (
    ("start_template", "remove_template_task"),
    ("ensure_registration", "remove_registration"),
    ("ensure_board", "remove_board"),
    ("ensure_repository", "remove_repository"),
    ("ensure_folder", "remove_folder"),
    ("open_change", "remove_records"),
    ("request_change_approval", "remove_records"),
)
_TOLD = frozenset({"undone", "expired"})  # a person who rejects or cancels knows already


@orchestrator(UndoInput)
def undo(context: df.DurableOrchestrationContext, data: UndoInput) -> Steps[Outcome]:
    """What the vendors keep is listed as residue; a removal that fails parks the request with what is left."""
    run = Run(request_id=data.request_id, application=data.application, branch="undo", attempt=data.attempt, undo=True)
    try:
        residue = yield from _remove_all(context, run, data)
    except StepFailedError as error:
        if error.outcome.status is OutcomeStatus.CANCELLED:
            return error.outcome
        yield from park(context, _parked(run, error.outcome), data.pace)
        return error.outcome
    finish = FinishRequest(run=run, state=data.final_state, residue=residue)
    yield from call(context, "finish_request", finish, data.pace)
    if data.final_state in _TOLD:
        yield from tell(context, run, data.final_state, data.pace, residue=residue)
    if residue:
        yield from tell(context, run, "residue", data.pace, residue=residue)
    return Outcome.done()


def _parked(run: Run, outcome: Outcome) -> ParkRequest:
    problem = outcome.problem or Problem(code="internal", title="Undo failed", detail="no reason was given")
    detail = f"{problem.detail} The rest is kept; undo goes on from here."
    return ParkRequest(run=run, problem=problem.model_copy(update={"detail": detail}))


def _remove_all(context: df.DurableOrchestrationContext, run: Run, data: UndoInput) -> Steps[list[MadeObject]]:
    yield from _settled(context, run, data)
    work = UndoWork.model_validate((yield from call(context, "read_undo_work", ActivityInput(run=run), data.pace)))
    residue = list(work.residue)
    for environment in work.namespaces:
        here = ActivityInput(run=run.model_copy(update={"environment": environment}))
        yield from _remove(context, "remove_namespace", here, data, residue)
    for environment in work.applied:
        yield from _destroy(context, run.model_copy(update={"environment": environment}), work, data, residue)
    for environment in work.proposed:
        here = ActivityInput(run=run.model_copy(update={"environment": environment}))
        yield from _remove(context, "remove_infrastructure_change", here, data, residue)
    for removal in dict.fromkeys(removal for begun, removal in _REMOVALS if begun in work.begun):
        yield from _remove(context, removal, ActivityInput(run=run), data, residue)
    return residue


def _settled(context: df.DurableOrchestrationContext, run: Run, data: UndoInput) -> Steps[None]:
    """Wait until nothing of the request is under way any more.

    Raises:
        StepFailedError: something does not end; the sentence names it.
    """
    deadline = context.current_utc_datetime + timedelta(minutes=data.pace.run_minutes)
    while True:
        settled = Settled.model_validate((yield from call(context, "settle_run", ActivityInput(run=run), data.pace)))
        if settled.busy is None:
            return
        if context.current_utc_datetime >= deadline:
            problem = Problem(code="still-running", title="Something is still under way", detail=settled.busy)
            raise StepFailedError(Outcome.failed(problem))
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=2 * data.pace.poll_seconds))


def _remove(
    context: df.DurableOrchestrationContext,
    name: str,
    payload: ActivityInput,
    data: UndoInput,
    residue: list[MadeObject],
) -> Steps[Any]:
    removed = Removed.model_validate((yield from call(context, name, payload, data.pace)))
    residue.extend(removed.residue)


def _destroy(
    context: df.DurableOrchestrationContext, run: Run, work: UndoWork, data: UndoInput, residue: list[MadeObject]
) -> Steps[Any]:
    environment, commit = str(run.environment), work.commits[str(run.environment)]
    plan_id = iac_run(data.request_id, environment, "destroy-plan", str(data.attempt))
    planning = IacRun(run=run, run_id=plan_id, action="destroy-plan", commit=commit)
    ended = yield from _pipeline(context, "start_destroy_plan", planning, data)
    read = DestroyResult(run=run, run_id=plan_id, pipeline=ended)
    plan = DestroyPlan.model_validate((yield from call(context, "read_destroy_plan", read, data.pace)))
    run_id = iac_run(data.request_id, environment, "destroy", str(data.attempt))
    iac = IacRun(
        run=run,
        run_id=run_id,
        action="destroy",
        commit=commit,
        plan_run_id=plan_id,
        plan_sha256=plan.plan_sha256,
    )
    ended = yield from _pipeline(context, "start_destroy", iac, data)
    result = DestroyResult(run=run, run_id=run_id, pipeline=ended, plan_sha256=plan.plan_sha256)
    yield from _remove(context, "read_destroy_result", result, data, residue)


def _pipeline(context: df.DurableOrchestrationContext, name: str, iac: IacRun, data: UndoInput) -> Steps[PipelineRun]:
    started = PipelineRun.model_validate((yield from call(context, name, iac, data.pace)))
    return (yield from follow(context, iac.run, started, data.pace))
