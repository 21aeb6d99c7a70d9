"""The records branch: change request and configuration item."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import Steps, call
from shared.models.approval import PlanDecision
from shared.models.runs import ActivityInput, OptionalInput, Run
from shared.outcome import Outcome


@orchestrator(OptionalInput)
def keep_records(context: df.DurableOrchestrationContext, data: OptionalInput) -> Steps[Outcome]:
    """Open the records while the application is being made, or close them when it runs."""
    run = Run(request_id=data.request_id, application=data.application, branch="records", attempt=data.attempt)
    payload = ActivityInput(run=run)
    if data.closing:
        yield from call(context, "close_change", payload, data.pace)
        return Outcome.done()
    yield from call(context, "open_change", payload, data.pace)
    if data.digest:
        yield from call(context, "note_decisions", PlanDecision(run=run, digest=data.digest), data.pace)
    yield from call(context, "check_change_conflicts", payload, data.pace)
    yield from call(context, "start_change", payload, data.pace)
    yield from call(context, "ensure_configuration_item", payload, data.pace)
    return Outcome.done()
