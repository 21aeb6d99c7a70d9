"""The source branch: repository, content, protection, team."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import Steps, call
from shared.models.runs import ActivityInput, OnboardInput, Run
from shared.outcome import Outcome


@orchestrator(OnboardInput)
def create_source(context: df.DurableOrchestrationContext, data: OnboardInput) -> Steps[Outcome]:
    """Value: ``Repository``."""
    run = Run(request_id=data.request_id, application=data.application, branch="source", attempt=data.attempt)
    payload = ActivityInput(run=run)
    repository = yield from call(context, "ensure_repository", payload, data.pace)
    yield from call(context, "set_content", payload, data.pace)
    yield from call(context, "set_team_access", payload, data.pace)
    yield from call(context, "set_protection", payload, data.pace)
    return Outcome.done(repository)
