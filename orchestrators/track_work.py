"""The board branch: a board for the team, with the columns and the first work items of the archetype."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import Steps, call
from shared.models.runs import ActivityInput, OptionalInput, Run
from shared.outcome import Outcome


@orchestrator(OptionalInput)
def track_work(context: df.DurableOrchestrationContext, data: OptionalInput) -> Steps[Outcome]:
    """Give the team a board that is linked to the repository."""
    run = Run(request_id=data.request_id, application=data.application, branch="board", attempt=data.attempt)
    payload = ActivityInput(run=run)
    yield from call(context, "ensure_board", payload, data.pace)
    yield from call(context, "ensure_work_items", payload, data.pace)
    return Outcome.done()
