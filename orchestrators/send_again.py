"""A message that somebody asked for again, or that the sweep left, is sent outside of the run that meant it."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import Steps, call
from shared.models.messages import SendAgain, SendAgainInput
from shared.models.runs import Run
from shared.outcome import Outcome


@orchestrator(SendAgainInput)
def send_again(context: df.DurableOrchestrationContext, data: SendAgainInput) -> Steps[Outcome]:
    """Send one message that is due."""
    run = Run(request_id=data.request_id, application=data.application, branch="messages", attempt=data.attempt)
    again = SendAgain(run=run, kind=data.kind, occasion=data.occasion)
    return Outcome.done((yield from call(context, "send_due", again, data.pace)))
