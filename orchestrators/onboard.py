"""From an accepted request to a running application."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._make import environment_input, make
from orchestrators._notices import park, tell
from orchestrators._steps import StepFailedError, Steps, all_of, call, child, value_of
from orchestrators.approve import WAITING
from orchestrators.provision import PLAN_CHANGED
from shared.instance_ids import child_instance
from shared.models.approval import ApproveInput
from shared.models.plan import EnvironmentPlan
from shared.models.problem import Problem
from shared.models.runs import (
    ActivityInput,
    AskAgain,
    FinishRequest,
    OnboardInput,
    ParkRequest,
    PlanResult,
    PlanSet,
    RequestSnapshot,
    Run,
    SetPlan,
    UndoInput,
)
from shared.outcome import Outcome, OutcomeStatus

_GIVEN_UP = frozenset({"rejected", "expired", "cancelled"})
_APPROVED = "provisioning"


@orchestrator(OnboardInput)
def onboard(context: df.DurableOrchestrationContext, data: OnboardInput) -> Steps[Outcome]:
    """Plan, wait for the approval, make everything; a failure parks the request and keeps what exists.

    A retry is a new instance of this flow: steps that are done answer from the register, so it goes on where the last
    one stopped.
    """
    run = Run(request_id=data.request_id, application=data.application, attempt=data.attempt)
    try:
        outcome = yield from _onboard(context, run, data)
    except StepFailedError as error:
        snapshot = yield from _look_again(context, run, data)
        if snapshot.state in _GIVEN_UP and snapshot.approved_digest is None:
            return (yield from _give_up(context, data, snapshot.state))
        if error.outcome.status is OutcomeStatus.CANCELLED:
            return error.outcome
        problem = error.outcome.problem or Problem(code="internal", title="A step failed", detail="no reason was given")
        yield from park(context, ParkRequest(run=run, problem=problem), data.pace)
        return error.outcome
    return outcome


def _onboard(context: df.DurableOrchestrationContext, run: Run, data: OnboardInput) -> Steps[Outcome]:
    document = yield from call(context, "start_run", ActivityInput(run=run), data.pace)
    snapshot = RequestSnapshot.model_validate(document)
    while True:
        if snapshot.state not in _GIVEN_UP and snapshot.state != _APPROVED:
            snapshot = yield from _approved(context, run, data, snapshot)
        if snapshot.state == _APPROVED and snapshot.break_glass_until:
            yield from call(context, "use_break_glass", ActivityInput(run=run), data.pace)
            snapshot = yield from _look_again(context, run, data)
        if snapshot.state in _GIVEN_UP:
            return (yield from _give_up(context, data, snapshot.state))
        if snapshot.state != _APPROVED:
            continue
        try:
            lacking = yield from make(context, data, snapshot)
        except StepFailedError as error:
            if not error.outcome.problem or error.outcome.problem.code != PLAN_CHANGED:
                raise
            yield from call(context, "ask_again", AskAgain(run=run, round=snapshot.round), data.pace)
            snapshot = yield from _look_again(context, run, data)
            continue
        finish = FinishRequest(run=run, state="degraded" if lacking else "succeeded", problem=lacking)
        yield from call(context, "finish_request", finish, data.pace)
        if lacking:
            yield from tell(context, run, "degraded", data.pace, problem=lacking)
        return Outcome.done()


def _look_again(context: df.DurableOrchestrationContext, run: Run, data: OnboardInput) -> Steps[RequestSnapshot]:
    document = yield from call(context, "read_request", ActivityInput(run=run), data.pace)
    return RequestSnapshot.model_validate(document)


def _approved(
    context: df.DurableOrchestrationContext, run: Run, data: OnboardInput, snapshot: RequestSnapshot
) -> Steps[RequestSnapshot]:
    """One round of planning and waiting; returns the request as it is after the decision."""
    digest, decide_before = snapshot.digest, snapshot.decide_before
    asked_at, servicenow = snapshot.asked_at or "", snapshot.servicenow
    if snapshot.state != WAITING or digest is None or decide_before is None:
        plans = yield from _plans(context, data, snapshot)
        now = context.current_utc_datetime.strftime("%Y-%m-%dT%H:%M:%SZ")
        planned = SetPlan(run=run, round=snapshot.round, environments=plans, at=now)
        document = yield from call(context, "set_plan", planned, data.pace)
        plan = PlanSet.model_validate(document)
        digest, decide_before = plan.digest, plan.decide_before
        asked_at, servicenow = plan.asked_at, plan.servicenow
    waiting = ApproveInput(
        request_id=data.request_id,
        application=data.application,
        digest=digest,
        decide_before=decide_before,
        attempt=data.attempt,
        pace=data.pace,
        asked_at=asked_at,
        servicenow=servicenow,
    )
    instance = child_instance(str(context.instance_id), "approve", snapshot.round)
    return RequestSnapshot.model_validate(value_of((yield child(context, "approve", waiting, instance))))


def _plans(
    context: df.DurableOrchestrationContext, data: OnboardInput, snapshot: RequestSnapshot
) -> Steps[list[EnvironmentPlan]]:
    """The plans of all environments, in their order; those that exist already are kept."""
    plans = {plan.environment: plan for plan in snapshot.planned}
    missing = [name for name in snapshot.environments if name not in plans]
    tasks = [
        child(
            context,
            "plan_environment",
            environment_input(data, snapshot, name),
            child_instance(str(context.instance_id), f"plan-{name}", snapshot.round),
        )
        for name in missing
    ]
    documents = yield from all_of(context, tasks)
    for name, document in zip(missing, documents, strict=True):
        plans[name] = PlanResult.model_validate(value_of(document)).plan
    return [plans[name] for name in snapshot.environments]


def _give_up(context: df.DurableOrchestrationContext, data: OnboardInput, state: str) -> Steps[Outcome]:
    """Rejected, expired or cancelled before anything was made: take back the proposals and the name."""
    payload = UndoInput(
        request_id=data.request_id,
        application=data.application,
        attempt=data.attempt,
        final_state=state,
        pace=data.pace,
    )
    document = yield child(context, "undo", payload, child_instance(str(context.instance_id), "undo"))
    return Outcome.model_validate(document)
