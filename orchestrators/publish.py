"""The catalogue branch: the application in Backstage's catalog, then the company's own template, if there is one."""

from datetime import timedelta

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import StepFailedError, Steps, call
from shared.models.catalogue import (
    CatalogueInput,
    ReadRegistration,
    ReadTemplate,
    Registration,
    TemplateTask,
    Visibility,
)
from shared.models.problem import Problem
from shared.models.runs import OptionalInput, Run
from shared.outcome import Outcome

_FIRST_LOOK, _SLOWER, _LONGEST_WAIT = 0.5, 1.5, 10.0
_VISIBLE_WITHIN = timedelta(seconds=60)


@orchestrator(OptionalInput)
def publish(context: df.DurableOrchestrationContext, data: OptionalInput) -> Steps[Outcome]:
    """Register the application, wait until people can find it, and let the template do the rest."""
    run = Run(request_id=data.request_id, application=data.application, branch="catalogue", attempt=data.attempt)
    payload = CatalogueInput(run=run, operation=f"{data.request_id}-{data.attempt}")
    document = yield from call(context, "ensure_registration", payload, data.pace)
    registration = Registration.model_validate(document)
    yield from _visible(context, run, registration, data)
    if registration.template:
        task = TemplateTask.model_validate((yield from call(context, "start_template", payload, data.pace)))
        yield from _ended(context, run, task, data)
    return Outcome.done()


def _visible(
    context: df.DurableOrchestrationContext, run: Run, registration: Registration, data: OptionalInput
) -> Steps[None]:
    """Wait for the entities: Backstage reads a location about a second after its registration, a busy one later."""
    look = ReadRegistration(run=run, target=registration.target, entities=registration.entities)
    deadline, interval = context.current_utc_datetime + _VISIBLE_WITHIN, _FIRST_LOOK
    while True:
        seen = Visibility.model_validate((yield from call(context, "read_registration", look, data.pace)))
        if not seen.missing:
            return
        if context.current_utc_datetime >= deadline:
            detail = f"Backstage took the location and does not show {', '.join(seen.missing)}; its log may say why."
            raise StepFailedError(_failed("not-visible", "Not in the catalogue", detail, "read_registration"))
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=interval))
        interval = min(interval * _SLOWER, _LONGEST_WAIT)


def _ended(context: df.DurableOrchestrationContext, run: Run, task: TemplateTask, data: OptionalInput) -> Steps[None]:
    """Follow the task to its end, looking less and less often; no worker is held while it runs."""
    look = ReadTemplate(run=run, task_id=task.task_id)
    deadline = context.current_utc_datetime + timedelta(minutes=data.pace.run_minutes)
    interval = data.pace.poll_seconds
    while True:
        seen = TemplateTask.model_validate((yield from call(context, "read_template", look, data.pace)))
        if seen.ended:
            return
        if context.current_utc_datetime >= deadline:
            detail = f"The template did not end in time; look at it, then retry: {task.link}"
            raise StepFailedError(_failed("pipeline-lost", "A template is lost", detail, "read_template"))
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=interval))
        interval = min(interval * _SLOWER, _LONGEST_WAIT)


def _failed(code: str, title: str, detail: str, step: str) -> Outcome:
    return Outcome.failed(Problem(code=code, title=title, detail=detail, step=step))
