"""An alert is answered as the rules say, and it is verified that this helped; otherwise a person is called."""

from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from orchestrators._day2 import acted, begin, day2, end, judged, run_of
from orchestrators._steps import StepFailedError, Steps, call, leased
from shared.models.day2_alerts import RespondToAlert, Undone, Verification
from shared.models.operations import OperationInput, OperationSnapshot, OperationState
from shared.models.problem import Problem
from shared.models.runs import ActivityInput
from shared.outcome import Outcome

_S = OperationState


@day2("respond-to-alert", "Answer an alert as rules/responses says, and verify that it helped.", RespondToAlert)
def day2_respond_to_alert(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Plan the response, do it, wait, read the metric; what did not help is taken back, and becomes an incident."""
    operation = yield from begin(context, data)
    operation = yield from judged(context, data, operation, "list_alert_response")
    payload = ActivityInput(run=run_of(data, environment=operation.environment))
    if operation.state != _S.ACTING:
        yield from _without_action(context, data, operation)
        return Outcome.done({"state": operation.state})
    yield from leased(context, run_of(data), data.pace)
    stop = yield from acted(context, data, operation, "set_alert_response")
    settle = timedelta(minutes=float(operation.facts.get("settleMinutes") or 0))
    yield context.create_timer(context.current_utc_datetime + settle)
    document = yield from call(context, "read_alert_verification", payload, data.pace)
    proof = Verification.model_validate(document)
    facts: dict[str, Any] = {"after": proof.after, "helped": proof.helped}
    if proof.reversible and not stop:
        facts["undone"] = yield from _taken_back(context, data, payload)
    if stop or proof.helped is False:
        yield from call(context, "open_incident", payload, data.pace)
        problem = stop or Problem(
            code="not-verified",
            title="The response did not help",
            detail="The alert's condition still holds after the response; an incident asks a person to look."
            + (f" The response was taken back: {facts['undone']}." if facts.get("undone") else ""),
        )
        yield from end(context, data, state=_S.PARTIAL, problem=problem, facts=facts)
    else:
        yield from end(context, data, facts=facts)
    return Outcome.done()


def _taken_back(context: df.DurableOrchestrationContext, data: OperationInput, payload: ActivityInput) -> Steps[str]:
    """Take back what did not help; returns what was done. If that fails, it is left to the person who is called."""
    try:
        document = yield from call(context, "set_response_undone", payload, data.pace)
    except StepFailedError:
        return ""
    undone = Undone.model_validate(document)
    return str(undone.detail) if undone.undone else ""


def _without_action(
    context: df.DurableOrchestrationContext, data: OperationInput, operation: OperationSnapshot
) -> Steps[None]:
    """No response was given: a person is called when one is needed, or need not come any more when it is over."""
    payload = ActivityInput(run=run_of(data, environment=operation.environment))
    if operation.dry_run:
        return
    if operation.facts.get("over"):
        yield from call(context, "set_incident_resolved", payload, data.pace)
    elif operation.facts.get("incident") or operation.state in (_S.REFUSED, _S.EXPIRED):
        yield from call(context, "open_incident", payload, data.pace)
