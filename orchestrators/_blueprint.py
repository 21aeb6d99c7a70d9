"""The Blueprint of all orchestrators, and the frame around each."""

from collections.abc import Callable, Generator
from typing import Any

import azure.durable_functions as df

from orchestrators._steps import StepFailedError
from shared.models import Model
from shared.outcome import Outcome

blueprint = df.Blueprint()

type Flow[I] = Callable[[df.DurableOrchestrationContext, I], Generator[Any, Any, Outcome]]


def orchestrator[I: Model](payload: type[I]) -> Callable[[Flow[I]], Flow[I]]:
    """Register a flow under its name: it gets its validated input and returns an Outcome.

    A failed step ends the flow with that step's outcome, unless the flow handles it.
    """

    def register(flow: Flow[I]) -> Flow[I]:
        def run(context):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - the SDK fixes name and hint-less form
            try:
                outcome = yield from flow(context, payload.model_validate(context.get_input()))
            except StepFailedError as error:
                outcome = error.outcome
            return outcome.document()

        run.__name__ = run.__qualname__ = flow.__name__
        run.__doc__ = flow.__doc__
        blueprint.function_name(flow.__name__)(blueprint.orchestration_trigger(context_name="context")(run))
        return flow

    return register
