"""Make everything that was approved: what needs nothing first, then what needs the repository or the environments."""

from collections.abc import Iterable
from typing import Any

import azure.durable_functions as df

from orchestrators._notices import welcome
from orchestrators._steps import StepFailedError, Steps, all_of, child, require_all, value_of
from shared.instance_ids import child_instance
from shared.models.plan import EnvironmentPlan
from shared.models.problem import Problem
from shared.models.runs import (
    ApplyResult,
    DeployInput,
    EnvironmentInput,
    OnboardInput,
    OptionalInput,
    Repository,
    RequestSnapshot,
)
from shared.outcome import Outcome

# Optional systems and the branch that uses each: beside source and environments, or beside the deployments.
_RECORDS = "servicenow"
_ALONGSIDE = {_RECORDS: "keep_records"}
_AFTERWARDS = {
    "github_projects": "track_work",
    "azure_boards": "track_work",
    "grafana": "observe",
    "backstage": "publish",
}
_MANDATORY = frozenset({"prod"})  # no change in production without a change request

type _Outcomes = dict[str, dict[str, Any]]  # Outcome documents by optional system


def make(
    context: df.DurableOrchestrationContext, data: OnboardInput, snapshot: RequestSnapshot
) -> Steps[Problem | None]:
    """Make the application and its records.

    Returns:
        What an optional system lacks: the application runs without it.

    Raises:
        StepFailedError: something that the application needs could not be made.
    """
    made = yield from _foundations(context, data, snapshot)
    repository, outputs, optional = made
    if _MANDATORY & set(snapshot.environments):
        require_all([optional[system] for system in (_RECORDS,) if system in optional])
    deployments = [
        _deploy(context, data, snapshot, repository, environment=name, outputs=outputs[name])
        for name in snapshot.environments
    ]
    branches = _branches(context, data, snapshot, _AFTERWARDS)
    documents = yield from all_of(context, [*deployments, *branches.values()])
    require_all(documents[: len(deployments)])
    optional |= dict(zip(branches, documents[len(deployments) :], strict=True))
    return (yield from _lacking(context, data, snapshot, optional))


def environment_input(data: OnboardInput, snapshot: RequestSnapshot, name: str) -> EnvironmentInput:
    """Input of the flows that work on one environment."""
    return EnvironmentInput(
        request_id=data.request_id,
        application=data.application,
        environment=name,
        attempt=data.attempt,
        run_attempt=data.attempt,
        round=snapshot.round,
        pace=data.pace,
    )


def _foundations(
    context: df.DurableOrchestrationContext, data: OnboardInput, snapshot: RequestSnapshot
) -> Steps[tuple[Repository, dict[str, dict[str, str]], _Outcomes]]:
    """Source, environments and what can be done beside them; returns repository, Terraform outputs, other outcomes."""
    parent = str(context.instance_id)
    plans = {plan.environment: plan for plan in snapshot.planned}
    missing = [name for name in snapshot.environments if not _provisioned(snapshot, plans[name])]
    tasks = [child(context, "create_source", data, child_instance(parent, "source", snapshot.round))]
    for name in missing:
        payload = environment_input(data, snapshot, name).model_copy(update={"plan": plans[name]})
        tasks.append(
            child(context, "provision", payload, child_instance(parent, f"environment-{name}", snapshot.round))
        )
    branches = _branches(context, data, snapshot, _ALONGSIDE)
    source, *documents = yield from all_of(context, [*tasks, *branches.values()])
    environments = dict(zip(missing, documents, strict=False))
    require_all([source, *environments.values()])
    outputs = dict(snapshot.outputs)
    for name, document in environments.items():
        outputs[name] = ApplyResult.model_validate(value_of(document)).outputs
    optional = dict(zip(branches, documents[len(missing) :], strict=True))
    return Repository.model_validate(value_of(source)), outputs, optional


def _provisioned(snapshot: RequestSnapshot, plan: EnvironmentPlan) -> bool:
    """Whether exactly this plan of the environment was applied, with everything that follows."""
    follows = f"environment@{plan.environment}:ensure_namespace" in snapshot.done
    return follows and snapshot.applied.get(plan.environment) == plan.run_id


def _deploy(
    context: df.DurableOrchestrationContext,
    data: OnboardInput,
    snapshot: RequestSnapshot,
    repository: Repository,
    *,
    environment: str,
    outputs: dict[str, str],
) -> Any:
    deployment = DeployInput(
        request_id=data.request_id,
        application=data.application,
        environment=environment,
        first=environment == snapshot.environments[0],
        attempt=data.attempt,
        pace=data.pace,
        outputs=outputs,
        subject_prefix=repository.subject_prefix,
        done=snapshot.done,
    )
    return child(
        context, "deploy", deployment, child_instance(str(context.instance_id), f"deploy-{environment}", snapshot.round)
    )


def _branches(
    context: df.DurableOrchestrationContext, data: OnboardInput, snapshot: RequestSnapshot, flows: dict[str, str]
) -> dict[str, Any]:
    """Tasks of the branches of optional systems that the request uses."""
    parent = str(context.instance_id)
    return {
        system: child(
            context, flows[system], _optional(data, snapshot), child_instance(parent, flows[system], snapshot.round)
        )
        for system in snapshot.systems
        if system in flows
    }


def _optional(data: OnboardInput, snapshot: RequestSnapshot, *, closing: bool = False) -> OptionalInput:
    return OptionalInput(
        request_id=data.request_id,
        application=data.application,
        attempt=data.attempt,
        closing=closing,
        digest=snapshot.approved_digest or "",
        pace=data.pace,
    )


def _lacking(
    context: df.DurableOrchestrationContext, data: OnboardInput, snapshot: RequestSnapshot, optional: _Outcomes
) -> Steps[Problem | None]:
    """Close the records with the evidence, then say what optional systems lack: a retry heals it.

    The welcome is the last of them: it is sent when nothing else is lacking.
    """
    outcomes = dict(optional)
    if _RECORDS in outcomes and Outcome.model_validate(outcomes[_RECORDS]).ok:
        instance = child_instance(str(context.instance_id), "close-records", snapshot.round)
        outcomes[_RECORDS] = yield child(
            context, _ALONGSIDE[_RECORDS], _optional(data, snapshot, closing=True), instance
        )
    return _problem_of(outcomes.values()) or (yield from welcome(context, data, snapshot.systems))


def _problem_of(documents: Iterable[dict[str, Any]]) -> Problem | None:
    try:
        require_all(list(documents))
    except StepFailedError as error:
        return error.outcome.problem
    return None
