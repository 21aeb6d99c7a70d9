"""The dashboards branch: a folder and the archetype's dashboards. Alerts and budget come with Terraform."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import Steps, call
from shared.models.runs import ActivityInput, OptionalInput, Run
from shared.outcome import Outcome


@orchestrator(OptionalInput)
def observe(context: df.DurableOrchestrationContext, data: OptionalInput) -> Steps[Outcome]:
    """Make the application visible to those who look after it."""
    run = Run(request_id=data.request_id, application=data.application, branch="dashboards", attempt=data.attempt)
    payload = ActivityInput(run=run)
    yield from call(context, "ensure_folder", payload, data.pace)
    yield from call(context, "ensure_dashboards", payload, data.pace)
    return Outcome.done()
