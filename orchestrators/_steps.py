"""How orchestrators call activities: by name, with the durable retry, and with an Outcome instead of exceptions."""

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from shared.models import Model
from shared.models.problem import Problem
from shared.models.runs import ActivityInput, LeaseTaken, Pace, PipelineRun, ReadPipelineRun, Run
from shared.outcome import Outcome

type Steps[T] = Generator[Any, Any, T]

_LONGEST_POLL = 30.0
_SLOWER = 1.3
_LOST = "the pipeline run did not end in time; look at it, then retry"


class StepFailedError(Exception):
    """A step did not succeed; the branch ends here with its outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.problem.detail if outcome.problem else outcome.status)
        self.outcome = outcome


def call(context: df.DurableOrchestrationContext, name: str, payload: Model, pace: Pace) -> Steps[dict[str, Any]]:
    """Call an activity and return its result document.

    Raises:
        StepFailedError: the activity failed, was cancelled, or did not get through after all tries.
    """
    options = df.RetryOptions(
        first_retry_interval_in_milliseconds=max(1, int(pace.retry_seconds * 1000)),
        max_number_of_attempts=pace.retry_attempts,
    )
    try:
        document = yield context.call_activity_with_retry(name, options, payload.document())
    except Exception as error:
        raise StepFailedError(Outcome.failed(_exhausted(name, str(error), pace))) from error
    return value_of(document)


def child(context: df.DurableOrchestrationContext, name: str, payload: Model, instance_id: str) -> Any:
    """Task of a sub-orchestration; its result is an Outcome document."""
    return context.call_sub_orchestrator(name, payload.document(), instance_id)


def value_of(document: dict[str, Any]) -> dict[str, Any]:
    """The value of an Outcome document.

    Raises:
        StepFailedError: the outcome is not done.
    """
    outcome = Outcome.model_validate(document)
    if not outcome.ok:
        raise StepFailedError(outcome)
    return outcome.value or {}


def all_of(context: df.DurableOrchestrationContext, tasks: list[Any]) -> Steps[list[dict[str, Any]]]:
    """Wait for all tasks; returns their Outcome documents in the order of the tasks."""
    if not tasks:
        return []
    documents = yield context.task_all(tasks)
    return list(documents)


def require_all(documents: list[dict[str, Any]]) -> None:
    """Demand that every branch is done; if several are not, all of them are named.

    Raises:
        StepFailedError: with the one problem, or with one that tells of all.
    """
    failed = [outcome for outcome in map(Outcome.model_validate, documents) if not outcome.ok]
    if not failed:
        return
    problems = [outcome.problem for outcome in failed if outcome.problem]
    if len(failed) == 1 or len(problems) < 2:  # noqa: PLR2004 - several
        raise StepFailedError(failed[0])
    detail = " | ".join(f"{problem.step}: {problem.detail}" for problem in problems)
    problem = problems[0].model_copy(update={"title": "Several branches failed", "detail": detail})
    raise StepFailedError(Outcome.failed(problem))


def follow(context: df.DurableOrchestrationContext, run: Run, started: PipelineRun, pace: Pace) -> Steps[PipelineRun]:
    """Follow a pipeline run to its end, looking less and less often.

    Raises:
        StepFailedError: the run did not end in time.
    """
    deadline = context.current_utc_datetime + timedelta(minutes=pace.run_minutes)
    interval = pace.poll_seconds
    look = ReadPipelineRun(run=run, repository=started.repository, run_id=started.run_id, place=started.place)
    while True:
        document = yield from call(context, "read_pipeline_run", look, pace)
        current = PipelineRun.model_validate(document)
        if current.status == "completed":
            return current
        if context.current_utc_datetime >= deadline:
            problem = Problem(code="pipeline-lost", title="A pipeline run is lost", detail=f"{_LOST}: {current.link}")
            raise StepFailedError(Outcome.failed(problem))
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=interval))
        interval = min(interval * _SLOWER, _LONGEST_POLL)


def leased(context: df.DurableOrchestrationContext, run: Run, pace: Pace) -> Steps[None]:
    """Wait until nobody else changes the application.

    Raises:
        StepFailedError: somebody else does not come to an end.
    """
    deadline = context.current_utc_datetime + timedelta(minutes=pace.run_minutes)
    while True:
        document = yield from call(context, "take_lease", ActivityInput(run=run), pace)
        holder = LeaseTaken.model_validate(document).holder
        if holder == run.request_id:
            return
        if context.current_utc_datetime >= deadline:
            detail = f"{run.application} is being changed by {holder}; retry when that has ended."
            raise StepFailedError(
                Outcome.failed(Problem(code="still-running", title="Something is still under way", detail=detail))
            )
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=2 * pace.poll_seconds))


def moment(text: str) -> datetime:
    """An ISO time of a row as a time that the context's clock can be compared with."""
    return datetime.fromisoformat(text)


def _exhausted(name: str, text: str, pace: Pace) -> Problem:
    """The problem of a step that stayed transient; the SDK hands over bare text."""
    last = text.split("\n", 1)[0].removeprefix(f"Activity function '{name}' failed:").strip()
    reason = last.partition(": ")[2] if last.partition(": ")[0].endswith("Error") else last
    detail = f"{reason[:600]}. Tried {pace.retry_attempts} times; what was made so far is kept."
    return Problem(code="integration-transient", title="A system did not answer as it should", detail=detail, step=name)
