"""Plan one environment: pull request with its variables, plan by the pipeline, verified change set."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import Steps, call, follow
from shared.instance_ids import iac_run
from shared.models.runs import (
    EnvironmentInput,
    IacRun,
    InfrastructureChange,
    OpenInfrastructureChange,
    PipelineRun,
    ReadPlanResult,
    Run,
)
from shared.outcome import Outcome


@orchestrator(EnvironmentInput)
def plan_environment(context: df.DurableOrchestrationContext, data: EnvironmentInput) -> Steps[Outcome]:
    """Value: ``PlanResult``."""
    run = Run(
        request_id=data.request_id,
        application=data.application,
        branch="plan",
        environment=data.environment,
        attempt=data.run_attempt,
    )
    proposal = OpenInfrastructureChange(run=run, round=data.round)
    change = InfrastructureChange.model_validate(
        (yield from call(context, "open_infrastructure_change", proposal, data.pace))
    )
    run_id = iac_run(data.request_id, data.environment, "plan", f"{data.round}.{data.attempt}")
    iac = IacRun(run=run, run_id=run_id, action="plan", commit=change.commit)
    started = PipelineRun.model_validate((yield from call(context, "start_plan", iac, data.pace)))
    ended = yield from follow(context, run, started, data.pace)
    result = ReadPlanResult(run=run, run_id=run_id, round=data.round, change=change, pipeline=ended)
    return Outcome.done((yield from call(context, "read_plan_result", result, data.pace)))
