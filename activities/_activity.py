"""The activity decorator: everything an activity must do besides its effect, once and for all.

An activity may run twice, and may run after its request was cancelled. The decorator validates the payload, asks the
register whether the step is done already (then its recorded result is returned and no vendor is called) or must not
start any more, keeps the step row that people see, tells of it (spans, metrics, a log line), and turns every error into
an Outcome: only a transient error is raised, because only that is worth the durable retry.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import azure.durable_functions as df
from pydantic import ValidationError

from shared.canonical import digest
from shared.clock import utc_now
from shared.errors import (
    AppStoreError,
    IntegrationError,
    PolicyViolationError,
    RequestRejectedError,
    TransientIntegrationError,
)
from shared.log import LOGGER, redact
from shared.models.operations import OperationState
from shared.models.problem import Problem
from shared.models.promotions import PromotionState
from shared.models.records import RequestState, StepRecord, StepState
from shared.models.runs import ActivityInput, Effect, Run
from shared.origin import working_for
from shared.outcome import Outcome
from shared.register import steps
from shared.telemetry import logs, spans
from shared.telemetry.metrics import measure

logs.install()
blueprint = df.Blueprint()
ACTIVITIES: dict[str, type[ActivityInput]] = {}
_REGISTERED: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {}

_ENDED = frozenset(
    {RequestState.CANCELLED, RequestState.REJECTED, RequestState.EXPIRED, RequestState.UNDOING, RequestState.UNDONE}
    | {PromotionState.REFUSED, PromotionState.ROLLED_BACK}
    | {OperationState.CANCELLED, OperationState.REFUSED, OperationState.REJECTED, OperationState.EXPIRED}
)
_TITLES = {
    "integration-conflict": "Something else is there already",
    "integration-not-authorised": "The App Store may not do this",
    "integration-not-found": "Something is missing",
    "policy-denied": "The rules deny it",
    "not-configured": "The App Store is not configured",
    "guard-refused": "The guard refused",
}

type Effectful[I, E] = Callable[[I], Awaitable[E]]


def activity[I: ActivityInput, E: Effect](work: Effectful[I, E]) -> Effectful[I, E]:
    """Register a step of a run: visible to people, done once for the same input."""
    payload = _payload(work)

    async def run(payload_document: dict) -> dict:  # type: ignore[type-arg] # the worker accepts plain types only
        data = payload.model_validate(payload_document)
        with working_for(data.run.origin), spans.working_for(data.run, work.__name__):
            return _as_dict(await _step(work.__name__, work, data))

    return _register(work, payload, run)


def look[I: ActivityInput, E: Effect](work: Effectful[I, E]) -> Effectful[I, E]:
    """Register a reading or bookkeeping activity: no step row, never answered from memory."""
    payload = _payload(work)

    async def run(payload_document: dict) -> dict:  # type: ignore[type-arg] # the worker accepts plain types only
        data = payload.model_validate(payload_document)
        with working_for(data.run.origin), spans.working_for(data.run, work.__name__):
            with spans.look(data.run, work.__name__) as span:
                outcome = await _attempt(work.__name__, work, data)
                _note(span, outcome)
            return _as_dict(outcome)

    return _register(work, payload, run)


def _payload[I: ActivityInput, E: Effect](work: Effectful[I, E]) -> type[I]:
    parameters = list(inspect.signature(work, eval_str=True).parameters.values())
    kind: type[I] = parameters[0].annotation
    return kind


def _register[I: ActivityInput, E: Effect](work: Effectful[I, E], payload: type[I], run: Any) -> Effectful[I, E]:
    name = work.__name__
    run.__name__ = run.__qualname__ = name
    run.__doc__ = work.__doc__
    blueprint.function_name(name)(blueprint.activity_trigger(input_name="payload_document")(run))
    ACTIVITIES[name] = payload
    _REGISTERED[name] = run
    return work


def registered(name: str) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    """The function that the host calls for an activity: payload document in, Outcome document out."""
    return _REGISTERED[name]


async def _step[I: ActivityInput, E: Effect](name: str, work: Effectful[I, E], data: I) -> Outcome:
    run, fingerprint = data.run, _fingerprint(data)
    standing = await steps.standing(run, name)
    before = standing.step
    # A removal is never answered from memory: what it removed may have been made again since.
    if before and before.state is StepState.DONE and before.fingerprint == fingerprint and not run.undo:
        spans.tell_kept(run, name)
        return Outcome.done(before.outcome)
    refusal = _refusal(standing, run, name)
    if refusal:
        outcome = Outcome.cancelled(refusal)
        if before and before.state in (StepState.RUNNING, StepState.RETRYING):
            await steps.write(run, _ended(before, outcome))
        return outcome
    if before and before.state is StepState.RUNNING:
        spans.tell_interrupted(run, name, before.attempts, before.tried_at or before.started_at)
    row = _begun(run, name, fingerprint, before)
    await steps.write(run, row)
    with spans.step(run, name, row.attempts) as span:
        try:
            outcome = await _attempt(name, work, data)
        except TransientIntegrationError as error:
            problem = problem_of(error, name)
            await steps.write(run, row.model_copy(update={"state": StepState.RETRYING, "problem": problem}))
            raise
        await steps.write(run, _ended(row, outcome))
        _note(span, outcome)
    return outcome


def _note(span: spans.Span, outcome: Outcome) -> None:
    code = outcome.problem.code if outcome.problem else None
    span.note({"appstore.outcome": outcome.status, "appstore.code": code})
    span.error = code if not outcome.ok else None
    LOGGER.info("%s is %s%s", span.name, outcome.status, f": {code}" if code else "")


def _fingerprint(data: ActivityInput) -> str:
    """Digest of what the step is about; the attempt it runs in and who waits for it make no difference."""
    run = data.run.model_copy(update={"attempt": 0}).model_dump(mode="json", by_alias=True, exclude={"origin"})
    return digest({**data.document(), "run": run})


def _refusal(standing: steps.Standing, run: Run, name: str) -> str | None:
    """Why the step must not start any more, or None."""
    if standing.stopped:
        return "The kill switch is on: nothing was changed."
    if standing.attempt != run.attempt:
        return f"Attempt {run.attempt} is over: {name} was not started."
    if standing.state in _ENDED and not run.undo:
        return f"The request is {standing.state}: {name} was not started."
    return None


def _begun(run: Run, name: str, fingerprint: str, before: StepRecord | None) -> StepRecord:
    return StepRecord(
        request_id=run.request_id,
        name=name,
        branch=run.branch,
        environment=run.environment,
        state=StepState.RUNNING,
        attempts=before.attempts + 1 if before else 1,
        started_at=before.started_at if before and before.state is not StepState.DONE else utc_now(),
        fingerprint=fingerprint,
        made=before.made if before else [],
        tried_at=utc_now(),
        run_attempt=run.attempt,
    )


def _ended(row: StepRecord, outcome: Outcome) -> StepRecord:
    effect = Effect.model_validate(outcome.value or {})
    state = {"done": StepState.DONE, "failed": StepState.FAILED, "cancelled": StepState.CANCELLED}[outcome.status]
    return row.model_copy(
        update={
            "state": state,
            "finished_at": utc_now(),
            "outcome": outcome.value,
            "problem": outcome.problem,
            "detail": effect.detail,
            "link": effect.link,
            "made": effect.made or row.made,
        }
    )


async def _attempt[I: ActivityInput, E: Effect](name: str, work: Effectful[I, E], data: I) -> Outcome:
    try:
        effect = await work(data)
    except TransientIntegrationError as error:
        _count_failure(work, error)
        LOGGER.warning("%s will be tried again: %s", name, error)
        raise
    except (AppStoreError, ValidationError) as error:
        _count_failure(work, error)
        return Outcome.failed(problem_of(error, name))
    except Exception as error:  # noqa: BLE001 - a bug must park the request, not vanish in a durable retry
        _count_failure(work, error)
        LOGGER.exception("%s failed unexpectedly", name)
        detail = f"{type(error).__name__} in {name}: a fault of the App Store, not of your request."
        return Outcome.failed(Problem(code="internal", title="The App Store failed", detail=detail, step=name))
    return Outcome.done(dict(effect.document()))


def _count_failure(work: Callable[..., Any], error: Exception) -> None:
    """By the system that failed: the one that was called, else the one that the activity is for."""
    system = error.call.integration if isinstance(error, IntegrationError) else work.__module__.rpartition(".")[2]
    code = error.code if isinstance(error, AppStoreError) else "internal"
    measure("appstore.step.failures", 1, {"appstore.system": system, "appstore.code": code})


def problem_of(error: Exception, step: str) -> Problem:
    """An error as people should read it: no secrets, the failing step named."""
    code = error.code if isinstance(error, AppStoreError) else "internal"
    return Problem(
        code=code,
        title=_TITLES.get(code, "The step failed"),
        detail=redact(str(error))[:1000],
        step=step,
        pointer=error.pointer if isinstance(error, RequestRejectedError) else None,
        rules=list(error.rules) if isinstance(error, PolicyViolationError) else [],
    )


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    return dict(outcome.document())
