"""Telling the channel: the welcome as a part of the run, and notices that no run depends on."""

from collections.abc import Sequence

import azure.durable_functions as df

from orchestrators._steps import StepFailedError, Steps, call
from shared.models.messages import MessageKind, SendNotice
from shared.models.plan import MadeObject
from shared.models.problem import Problem
from shared.models.runs import PARKED, ActivityInput, Nothing, OnboardInput, Pace, ParkRequest, Run
from shared.notices import CHATS
from shared.outcome import OutcomeStatus


def welcome(
    context: df.DurableOrchestrationContext, data: OnboardInput, systems: Sequence[str]
) -> Steps[Problem | None]:
    """Send the welcome if the request uses a chat; returns what is wrong with it, because a retry heals that."""
    if not set(CHATS) & set(systems):
        return None
    run = Run(request_id=data.request_id, application=data.application, branch="messages", attempt=data.attempt)
    try:
        yield from call(context, "send_welcome", ActivityInput(run=run), data.pace)
    except StepFailedError as error:
        if error.outcome.status is OutcomeStatus.CANCELLED:
            raise
        return error.outcome.problem
    return None


def park(context: df.DurableOrchestrationContext, parked: ParkRequest, pace: Pace) -> Steps[None]:
    """Park the request and tell so; one that was cancelled meanwhile is not parked."""
    document = yield from call(context, "park_request", parked, pace)
    if Nothing.model_validate(document).detail == PARKED:
        yield from tell(context, parked.run, PARKED, pace, problem=parked.problem)


def tell(
    context: df.DurableOrchestrationContext,
    run: Run,
    kind: str,
    pace: Pace,
    *,
    problem: Problem | None = None,
    residue: Sequence[MadeObject] = (),
    occasion: int | None = None,
) -> Steps[None]:
    """Send a notice. The activity logs and records that it could not; the run goes on as if it could."""
    notice = SendNotice(run=run, kind=MessageKind(kind), problem=problem, residue=list(residue), occasion=occasion)
    try:
        yield from call(context, "send_notice", notice, pace)
    except StepFailedError:
        return
