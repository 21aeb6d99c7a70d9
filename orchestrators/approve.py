"""Wait until somebody decided about exactly this plan, or time is up."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._notices import tell
from orchestrators._steps import StepFailedError, Steps, call, moment
from shared.decisions import share
from shared.models.approval import ApproveInput, PlanDecision
from shared.models.runs import ActivityInput, RequestSnapshot, Run
from shared.outcome import Outcome, OutcomeStatus

DECISION = "decision"
WAITING = "awaiting_approval"
# Parts of the time after which somebody is reminded, and after which more people are asked.
_MILESTONES = (("reminder", 0.5), ("escalation", 0.75))
_SLOWER = 1.3
_LONGEST_INTERVAL = 300.0
_LOOKS = 15  # at ServiceNow, in one history; then the flow begins anew with a short one


@orchestrator(ApproveInput)
def approve(context: df.DurableOrchestrationContext, data: ApproveInput) -> Steps[Outcome]:
    """Value: ``RequestSnapshot`` after the decision. Events are hints; every wake reads the rows again."""
    run = Run(request_id=data.request_id, application=data.application, branch="approval", attempt=data.attempt)
    payload = ActivityInput(run=run)
    deadline = moment(data.decide_before)
    told, looks, interval = list(data.told), 0, data.interval
    look_at = context.current_utc_datetime + timedelta(seconds=interval)
    while True:
        snapshot = RequestSnapshot.model_validate((yield from call(context, "read_request", payload, data.pace)))
        if snapshot.state != WAITING or snapshot.digest != data.digest:
            return Outcome.done(dict(snapshot.document()))
        now = context.current_utc_datetime
        if now >= deadline:
            yield from call(context, "expire_request", payload, data.pace)
            continue
        due = [name for name, at in _milestones(data) if at <= now and name not in told]
        if due:
            yield from _remind(context, data, run, due[-1])
            told += due
            continue
        if data.servicenow and now >= look_at:
            yield from _look_at_servicenow(context, data, run)
            looks, interval = looks + 1, min(max(data.pace.poll_seconds, interval * _SLOWER), _LONGEST_INTERVAL)
            look_at = context.current_utc_datetime + timedelta(seconds=interval)
            if looks == _LOOKS:
                context.continue_as_new(data.model_copy(update={"told": told, "interval": interval}).document())
                return Outcome.done()
            continue
        coming = [at for name, at in _milestones(data) if name not in told]
        event = context.wait_for_external_event(DECISION)
        timer = context.create_timer(min([deadline, *coming, *([look_at] if data.servicenow else [])]))
        winner = yield context.task_any([event, timer])
        if winner != timer:
            timer.cancel()


def _milestones(data: ApproveInput) -> Iterator[tuple[str, datetime]]:
    """Reminder and escalation with their moments; none in a run from before there were any."""
    if data.asked_at:
        for name, part in _MILESTONES:
            yield name, share(data.asked_at, data.decide_before, part)


def _remind(context: df.DurableOrchestrationContext, data: ApproveInput, run: Run, milestone: str) -> Steps[None]:
    """Tell the channel once for each asking that nobody has decided yet; an escalation lets more people decide.

    The same plan is asked about again when a grant ended, so the occasion is the second in which it was asked.
    """
    if milestone == "escalation":
        yield from call(context, "escalate_request", PlanDecision(run=run, digest=data.digest), data.pace)
    yield from tell(context, run, milestone, data.pace, occasion=int(moment(data.asked_at).timestamp()))


def _look_at_servicenow(context: df.DurableOrchestrationContext, data: ApproveInput, run: Run) -> Steps[None]:
    """See that the change request is there and what was decided about it; an instance that is down is asked again."""
    payload = PlanDecision(run=run.model_copy(update={"branch": "records"}), digest=data.digest)
    try:
        yield from call(context, "request_change_approval", payload, data.pace)
        yield from call(context, "read_change_approval", payload, data.pace)
    except StepFailedError as error:
        problem = error.outcome.problem
        waiting = error.outcome.status is OutcomeStatus.CANCELLED
        if not waiting and not (problem and problem.code == "integration-transient"):
            raise
