"""A campaign: pull requests in waves; each wave's checks decide whether the next one begins."""

from datetime import timedelta

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import StepFailedError, Steps, call
from shared.models.campaigns import CampaignInput, CampaignSnapshot, CampaignWave, EndWave, WaveProgress
from shared.models.problem import Problem
from shared.models.runs import ActivityInput, Run
from shared.outcome import Outcome

_LONGEST_POLL = 120.0
_SLOWER = 1.5


@orchestrator(CampaignInput)
def campaign(context: df.DurableOrchestrationContext, data: CampaignInput) -> Steps[Outcome]:
    """Do the waves. Whoever pauses or cancels writes the row; the next look sees it, and this attempt ends."""
    run = Run(request_id=data.request_id, application=data.application, branch="campaign", attempt=data.attempt)
    document = yield from call(context, "read_campaign", ActivityInput(run=run), data.pace)
    current = CampaignSnapshot.model_validate(document)
    while current.goes_on:
        problem = yield from _done(context, data, run, current.wave)
        end = EndWave(run=run, wave=current.wave, problem=problem)
        current = CampaignSnapshot.model_validate((yield from call(context, "end_wave", end, data.pace)))
    return Outcome.done(dict(current.document()))


def _done(context: df.DurableOrchestrationContext, data: CampaignInput, run: Run, wave: int) -> Steps[Problem | None]:
    """Open the wave's pull requests and wait for their checks.

    Returns:
        What keeps the campaign from going on.
    """
    try:
        while True:
            document = yield from call(context, "open_template_updates", CampaignWave(run=run, wave=wave), data.pace)
            if not WaveProgress.model_validate(document).left:
                break
        yield from _checked(context, data, run, wave)
    except StepFailedError as error:
        return error.outcome.problem or Problem(code="internal", title="A step failed", detail="no reason was given")
    return None


def _checked(context: df.DurableOrchestrationContext, data: CampaignInput, run: Run, wave: int) -> Steps[None]:
    """Wait for the checks, looking less and less often; what has no result in time has failed."""
    deadline = context.current_utc_datetime + timedelta(minutes=data.pace.run_minutes)
    interval = data.pace.poll_seconds
    while True:
        last = context.current_utc_datetime >= deadline
        look = CampaignWave(run=run, wave=wave, last_look=last)
        document = yield from call(context, "read_template_checks", look, data.pace)
        if last or not WaveProgress.model_validate(document).left:
            return
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=interval))
        interval = min(interval * _SLOWER, _LONGEST_POLL)
