"""The deployment branch of one environment: trust, variables, and for the first environment the first deployment."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import Steps, call, follow
from shared.models.runs import ActivityInput, DeployInput, Deployment, PipelineRun, ReadPipelineRun, Run
from shared.outcome import Outcome


@orchestrator(DeployInput)
def deploy(context: df.DurableOrchestrationContext, data: DeployInput) -> Steps[Outcome]:
    """The environment is ready for its pipeline; the first one runs it, and the application must answer."""
    run = Run(
        request_id=data.request_id,
        application=data.application,
        branch="deployment",
        environment=data.environment,
        attempt=data.attempt,
    )
    payload = Deployment(run=run, outputs=data.outputs, subject_prefix=data.subject_prefix)
    yield from call(context, "ensure_federated_credential", payload, data.pace)
    yield from call(context, "ensure_workload_credential", payload, data.pace)
    yield from call(context, "ensure_environment", payload, data.pace)
    started = None
    if data.first and f"deployment@{data.environment}:read_deployment" not in data.done:
        start = payload.model_copy(update={"operation": f"{data.request_id}-{data.attempt}"})
        started = PipelineRun.model_validate((yield from call(context, "start_deployment", start, data.pace)))
    watched = ActivityInput(run=run.model_copy(update={"branch": "environment"}))
    yield from call(context, "verify_alert_rules", watched, data.pace)  # while the pipeline works
    if started:
        yield from follow(context, run, started, data.pace)
        judge = ReadPipelineRun(run=run, repository=started.repository, run_id=started.run_id)
        yield from call(context, "read_deployment", judge, data.pace)
    if data.first:
        yield from call(context, "verify_health", ActivityInput(run=run), data.pace)
    return Outcome.done()
