"""From an accepted request to a running application."""

from typing import Any

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import StepFailedError, Steps, call, child, require_all, value_of
from orchestrators.approve import WAITING
from orchestrators.provision import PLAN_CHANGED
from shared.instance_ids import child_instance
from shared.models.plan import EnvironmentPlan
from shared.models.problem import Problem
from shared.models.runs import (
    ActivityInput,
    ApplyResult,
    ApproveInput,
    AskAgain,
    DeployInput,
    EnvironmentInput,
    FinishRequest,
    OnboardInput,
    OptionalInput,
    ParkRequest,
    PlanResult,
    PlanSet,
    Repository,
    RequestSnapshot,
    Run,
    SetPlan,
    UndoInput,
)
from shared.outcome import Outcome, OutcomeStatus

_GIVEN_UP = frozenset({"rejected", "expired", "cancelled"})
_APPROVED = "provisioning"
_RECORDS = "servicenow"
_OPTIONAL = {_RECORDS: "keep_records", "grafana": "observe"}  # optional system -> the branch that uses it
_MANDATORY = frozenset({"prod"})  # no change in production without a change request


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
        park = ParkRequest(run=run, problem=problem)
        yield from call(context, "park_request", park, data.pace)
        return error.outcome
    return outcome


def _onboard(context: df.DurableOrchestrationContext, run: Run, data: OnboardInput) -> Steps[Outcome]:
    document = yield from call(context, "start_run", ActivityInput(run=run), data.pace)
    snapshot = RequestSnapshot.model_validate(document)
    while True:
        if snapshot.state not in _GIVEN_UP and snapshot.state != _APPROVED:
            snapshot = yield from _approved(context, run, data, snapshot)
        if snapshot.state in _GIVEN_UP:
            return (yield from _give_up(context, data, snapshot.state))
        if snapshot.state != _APPROVED:
            continue
        try:
            lacking = yield from _make(context, data, snapshot)
        except StepFailedError as error:
            if not error.outcome.problem or error.outcome.problem.code != PLAN_CHANGED:
                raise
            yield from call(context, "ask_again", AskAgain(run=run, round=snapshot.round), data.pace)
            snapshot = yield from _look_again(context, run, data)
            continue
        finish = FinishRequest(run=run, state="degraded" if lacking else "succeeded", problem=lacking)
        yield from call(context, "finish_request", finish, data.pace)
        return Outcome.done()


def _look_again(context: df.DurableOrchestrationContext, run: Run, data: OnboardInput) -> Steps[RequestSnapshot]:
    document = yield from call(context, "read_request", ActivityInput(run=run), data.pace)
    return RequestSnapshot.model_validate(document)


def _approved(
    context: df.DurableOrchestrationContext, run: Run, data: OnboardInput, snapshot: RequestSnapshot
) -> Steps[RequestSnapshot]:
    """One round of planning and waiting; returns the request as it is after the decision."""
    digest, decide_before = snapshot.digest, snapshot.decide_before
    if snapshot.state != WAITING or digest is None or decide_before is None:
        plans = yield from _plans(context, data, snapshot)
        document = yield from call(
            context, "set_plan", SetPlan(run=run, round=snapshot.round, environments=plans), data.pace
        )
        plan = PlanSet.model_validate(document)
        digest, decide_before = plan.digest, plan.decide_before
    waiting = ApproveInput(
        request_id=data.request_id,
        application=data.application,
        digest=digest,
        decide_before=decide_before,
        attempt=data.attempt,
        pace=data.pace,
    )
    instance = child_instance(str(context.instance_id), "approve", snapshot.round)
    return RequestSnapshot.model_validate(value_of((yield child(context, "approve", waiting, instance))))


def _environment(data: OnboardInput, snapshot: RequestSnapshot, name: str) -> EnvironmentInput:
    return EnvironmentInput(
        request_id=data.request_id,
        application=data.application,
        environment=name,
        attempt=data.attempt,
        run_attempt=data.attempt,
        round=snapshot.round,
        pace=data.pace,
    )


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
            _environment(data, snapshot, name),
            child_instance(str(context.instance_id), f"plan-{name}", snapshot.round),
        )
        for name in missing
    ]
    documents = yield from _all(context, tasks)
    for name, document in zip(missing, documents, strict=True):
        plans[name] = PlanResult.model_validate(value_of(document)).plan
    return [plans[name] for name in snapshot.environments]


def _make(
    context: df.DurableOrchestrationContext, data: OnboardInput, snapshot: RequestSnapshot
) -> Steps[Problem | None]:
    """Source, environments and records side by side, then the deployments side by side, then the records are closed.

    Returns what an optional system lacks: the application runs without it.
    """
    parent = str(context.instance_id)
    plans = {plan.environment: plan for plan in snapshot.planned}
    missing = [name for name in snapshot.environments if not _provisioned(snapshot, plans[name])]
    tasks = [child(context, "create_source", data, child_instance(parent, "source", snapshot.round))]
    for name in missing:
        payload = _environment(data, snapshot, name).model_copy(update={"plan": plans[name]})
        tasks.append(
            child(context, "provision", payload, child_instance(parent, f"environment-{name}", snapshot.round))
        )
    for system in snapshot.systems:
        flow = _OPTIONAL[system]
        tasks.append(child(context, flow, _optional(data), child_instance(parent, flow, snapshot.round)))
    source, *documents = yield from _all(context, tasks)
    environments, optional = (
        documents[: len(missing)],
        dict(zip(snapshot.systems, documents[len(missing) :], strict=True)),
    )
    mandatory = [optional[_RECORDS]] if _RECORDS in optional and _MANDATORY & set(snapshot.environments) else []
    require_all([source, *environments, *mandatory])
    outputs = dict(snapshot.outputs)
    for name, document in zip(missing, environments, strict=True):
        outputs[name] = ApplyResult.model_validate(value_of(document)).outputs
    repository = Repository.model_validate(value_of(source))
    deployments = []
    for name in snapshot.environments:
        deployment = DeployInput(
            request_id=data.request_id,
            application=data.application,
            environment=name,
            first=name == snapshot.environments[0],
            attempt=data.attempt,
            pace=data.pace,
            outputs=outputs[name],
            subject_prefix=repository.subject_prefix,
            done=snapshot.done,
        )
        instance = child_instance(parent, f"deploy-{name}", snapshot.round)
        deployments.append(child(context, "deploy", deployment, instance))
    require_all((yield from _all(context, deployments)))
    return (yield from _lacking(context, data, snapshot, optional))


def _optional(data: OnboardInput, *, closing: bool = False) -> OptionalInput:
    return OptionalInput(
        request_id=data.request_id,
        application=data.application,
        attempt=data.attempt,
        closing=closing,
        pace=data.pace,
    )


def _lacking(
    context: df.DurableOrchestrationContext,
    data: OnboardInput,
    snapshot: RequestSnapshot,
    optional: dict[str, dict[str, Any]],
) -> Steps[Problem | None]:
    """Close the records with the evidence, then say what optional systems lack: a retry heals it."""
    outcomes = dict(optional)
    if _RECORDS in outcomes and Outcome.model_validate(outcomes[_RECORDS]).ok:
        instance = child_instance(str(context.instance_id), "close-records", snapshot.round)
        outcomes[_RECORDS] = yield child(context, _OPTIONAL[_RECORDS], _optional(data, closing=True), instance)
    try:
        require_all(list(outcomes.values()))
    except StepFailedError as error:
        return error.outcome.problem
    return None


def _provisioned(snapshot: RequestSnapshot, plan: EnvironmentPlan) -> bool:
    """Whether exactly this plan of the environment was applied, with everything that follows."""
    follows = f"environment@{plan.environment}:ensure_namespace" in snapshot.done
    return follows and snapshot.applied.get(plan.environment) == plan.run_id


def _all(context: df.DurableOrchestrationContext, tasks: list[Any]) -> Steps[list[dict[str, Any]]]:
    if not tasks:
        return []
    documents = yield context.task_all(tasks)
    return list(documents)


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
