"""A secret is renewed without anybody noticing: both credentials work until all consumers can have read the new one."""

import azure.durable_functions as df

from orchestrators._day2 import acted, begin, day2, end, judged, run_of
from orchestrators._steps import Steps, call, leased, moment
from shared.models.day2_secrets import Overlap, RotateSecret
from shared.models.operations import OperationInput, OperationState
from shared.models.runs import ActivityInput
from shared.outcome import Outcome


@day2("rotate-secret", "Renew a secret; the old credential works on for the days of its rule.", RotateSecret)
def day2_rotate_secret(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Publish the new credential, wait without a lease, make the old one worthless."""
    operation = yield from begin(context, data)
    operation = yield from judged(context, data, operation, "list_rotation")
    if operation.state == OperationState.ACTING:
        yield from leased(context, run_of(data), data.pace)
        stop = yield from acted(context, data, operation, "renew_credentials", range(1))
        payload = ActivityInput(run=run_of(data, "overlap", operation.environment))
        document = yield from call(context, "begin_overlap", payload, data.pace)
        until = Overlap.model_validate(document).until
        if until is not None and stop is None:
            yield context.create_timer(moment(until))
            yield from leased(context, run_of(data), data.pace)
            stop = yield from acted(context, data, operation, "renew_credentials", range(1, operation.waves))
        operation = yield from end(context, data, problem=stop)
    return Outcome.done({"state": operation.state})
