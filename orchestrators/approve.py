"""Wait until somebody decided about exactly this plan, or time is up."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import Steps, call, moment
from shared.models.runs import ActivityInput, ApproveInput, RequestSnapshot, Run
from shared.outcome import Outcome

DECISION = "decision"
WAITING = "awaiting_approval"


@orchestrator(ApproveInput)
def approve(context: df.DurableOrchestrationContext, data: ApproveInput) -> Steps[Outcome]:
    """Value: ``RequestSnapshot`` after the decision. Events are hints; every wake reads the rows again."""
    run = Run(request_id=data.request_id, application=data.application, branch="approval", attempt=data.attempt)
    payload = ActivityInput(run=run)
    deadline = moment(data.decide_before)
    while True:
        snapshot = RequestSnapshot.model_validate((yield from call(context, "read_request", payload, data.pace)))
        if snapshot.state != WAITING or snapshot.digest != data.digest:
            return Outcome.done(dict(snapshot.document()))
        if context.current_utc_datetime >= deadline:
            yield from call(context, "expire_request", payload, data.pace)
            continue
        event = context.wait_for_external_event(DECISION)
        timer = context.create_timer(deadline)
        winner = yield context.task_any([event, timer])
        if winner != timer:
            timer.cancel()
