"""What every Day-2 operation has in common: find out, ask the guard, wait for a person, act in waves, tell the end."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from orchestrators._blueprint import Flow, orchestrator
from orchestrators._steps import StepFailedError, Steps, call, leased, moment
from shared.models import Model
from shared.models.operations import (
    EndOperation,
    OperationInput,
    OperationSnapshot,
    OperationState,
    Wave,
    WaveResult,
)
from shared.models.problem import Problem
from shared.models.runs import ActivityInput, Run
from shared.models.undo import Settled
from shared.outcome import Outcome

DECISION = "decision"
_SLOWER, _LONGEST_LOOK = 1.5, 300.0
_S = OperationState


class NoParameters(Model):
    """An operation that needs to be told nothing."""

    model_config = {**Model.model_config, "extra": "forbid"}


@dataclass(frozen=True)
class Operation:
    """A Day-2 operation that can be asked for.

    Attributes:
        name: as in the URL, for example ``rotate-secret``.
        orchestrator: name of the orchestrator that runs it.
        parameters: model of its parameters.
        summary: what it does, in a sentence.
        one_stage: whether it needs to be told the environment.
    """

    name: str
    orchestrator: str
    parameters: type[Model]
    summary: str
    one_stage: bool = False


OPERATIONS: dict[str, Operation] = {}


def day2(
    name: str, summary: str, parameters: type[Model] = NoParameters, *, one_stage: bool = False
) -> Callable[[Flow[OperationInput]], Flow[OperationInput]]:
    """Register a flow as a Day-2 operation: whatever fails parks the operation, and what was done is kept and told."""

    def register(flow: Flow[OperationInput]) -> Flow[OperationInput]:
        OPERATIONS[name] = Operation(name, flow.__name__, parameters, summary, one_stage)

        def guarded(context: df.DurableOrchestrationContext, data: OperationInput) -> Generator[Any, Any, Outcome]:
            try:
                return (yield from flow(context, data))
            except StepFailedError as error:
                yield from end(context, data, problem=error.outcome.problem)
                return error.outcome

        guarded.__name__, guarded.__doc__ = flow.__name__, flow.__doc__
        return orchestrator(OperationInput)(guarded)

    return register


def run_of(data: OperationInput, branch: str = "operation", environment: str | None = None) -> Run:
    """The run that activities of an operation work for; each attempt has its own steps."""
    name = branch if data.attempt == 1 else f"{branch}-{data.attempt}"
    return Run(
        request_id=data.request_id,
        application=data.application,
        branch=name,
        environment=environment,
        attempt=data.attempt,
        origin=data.origin,
    )


def begin(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[OperationSnapshot]:
    """Take the operation to work."""
    document = yield from call(context, "begin_operation", ActivityInput(run=run_of(data)), data.pace)
    return OperationSnapshot.model_validate(document)


def survey_and_act(
    context: df.DurableOrchestrationContext, data: OperationInput, survey: str, act: str
) -> Steps[OperationSnapshot]:
    """The usual flow of an operation: ``survey`` plans the actions, ``act`` does one wave of them.

    Args:
        context: the orchestration's.
        data: the orchestration's input.
        survey: activity that takes an ``ActivityInput`` and writes down the planned actions.
        act: activity that takes a ``Wave``.

    Returns:
        The operation at its end.
    """
    operation = yield from begin(context, data)
    operation = yield from judged(context, data, operation, survey)
    if operation.state == _S.ACTING:
        yield from leased(context, run_of(data), data.pace)
        stop = yield from acted(context, data, operation, act)
        operation = yield from end(context, data, problem=stop)
    return operation


def judged(
    context: df.DurableOrchestrationContext, data: OperationInput, operation: OperationSnapshot, survey: str
) -> Steps[OperationSnapshot]:
    """Survey, ask the guard, and wait for a person where it says so."""
    payload = ActivityInput(run=run_of(data, environment=operation.environment))
    if operation.state == _S.SURVEYING:
        yield from call(context, survey, payload, data.pace)
        document = yield from call(context, "judge_operation", ActivityInput(run=run_of(data)), data.pace)
        operation = OperationSnapshot.model_validate(document)
    if operation.state == _S.AWAITING_APPROVAL:
        operation = yield from decided(context, data)
    return operation


def acted(
    context: df.DurableOrchestrationContext,
    data: OperationInput,
    operation: OperationSnapshot,
    act: str,
    waves: range | None = None,
) -> Steps[Problem | None]:
    """Do the waves one after the other; only some of them, if they are given.

    Returns:
        Why the waves ended before all were done; None when none was kept back.
    """
    for wave in waves or range(operation.waves):
        result = yield from _wave(context, data, operation, act, wave)
        if result.stop:
            return Problem(code="stopped", title="The operation was stopped", detail=f"Stopped: {result.stop}.")
        if result.busy:
            return Problem(code="still-running", title="Something is still under way", detail=f"{result.busy}; retry.")
    return None


def _wave(
    context: df.DurableOrchestrationContext, data: OperationInput, operation: OperationSnapshot, act: str, wave: int
) -> Steps[WaveResult]:
    """Do one wave, and look again less and less often while the vendors are at work, until they are or time is up."""
    deadline = context.current_utc_datetime + timedelta(minutes=data.pace.run_minutes)
    interval, look = data.pace.poll_seconds, 0
    while True:
        payload = Wave(run=run_of(data, f"wave-{wave}", operation.environment), wave=wave, look=look)
        result = WaveResult.model_validate((yield from call(context, act, payload, data.pace)))
        if not result.busy or result.stop or context.current_utc_datetime >= deadline:
            return result
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=interval))
        interval, look = min(interval * _SLOWER, _LONGEST_LOOK), look + 1


def settled(context: df.DurableOrchestrationContext, data: OperationInput, name: str, payload: Model) -> Steps[None]:
    """Call an activity again and again, less and less often, until it says that nothing is under way any more.

    Raises:
        StepFailedError: time is up; the sentence says what does not end.
    """
    deadline = context.current_utc_datetime + timedelta(minutes=data.pace.run_minutes)
    interval = data.pace.poll_seconds
    while True:
        found = Settled.model_validate((yield from call(context, name, payload, data.pace)))
        if found.busy is None:
            return
        if context.current_utc_datetime >= deadline:
            problem = Problem(code="still-running", title="Something is still under way", detail=found.busy)
            raise StepFailedError(Outcome.failed(problem))
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=interval))
        interval = min(interval * _SLOWER, _LONGEST_LOOK)


def end(
    context: df.DurableOrchestrationContext,
    data: OperationInput,
    *,
    state: OperationState | None = None,
    problem: Problem | None = None,
    facts: dict[str, Any] | None = None,
) -> Steps[OperationSnapshot]:
    """Write how the operation ended; without a state it is told from its actions."""
    payload = EndOperation(run=run_of(data), state=state, problem=problem, facts=facts or {})
    return OperationSnapshot.model_validate((yield from call(context, "end_operation", payload, data.pace)))


def decided(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[OperationSnapshot]:
    """Wait until somebody decided, or time is up. Events are hints; every wake reads the rows again."""
    payload = ActivityInput(run=run_of(data))
    while True:
        document = yield from call(context, "read_operation", payload, data.pace)
        operation = OperationSnapshot.model_validate(document)
        if operation.state != _S.AWAITING_APPROVAL or operation.decide_before is None:
            return operation
        deadline = moment(operation.decide_before)
        if context.current_utc_datetime >= deadline:
            problem = Problem(code="expired", title="Nobody decided in time", detail="Ask for the operation again.")
            yield from end(context, data, state=_S.EXPIRED, problem=problem)
            continue
        event = context.wait_for_external_event(DECISION)
        timer = context.create_timer(deadline)
        winner = yield context.task_any([event, timer])
        if winner != timer:
            timer.cancel()
