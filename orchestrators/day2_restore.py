"""A restore to a place apart: what runs is never written over."""

import azure.durable_functions as df

from orchestrators._day2 import acted, begin, day2, end, judged, run_of
from orchestrators._steps import Steps, call, leased
from shared.models.day2_backups import Checked, Restore
from shared.models.operations import OperationInput, OperationState
from shared.models.runs import ActivityInput
from shared.outcome import Outcome


@day2(
    "restore", "Restore the databases of a stage to a place apart, as they were at a moment.", Restore, one_stage=True
)
def day2_restore(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Restore into new servers in a group of their own, check them, and leave them to the team."""
    operation = yield from begin(context, data)
    operation = yield from judged(context, data, operation, "list_restores")
    if operation.state != OperationState.ACTING:
        return Outcome.done({"state": operation.state})
    yield from leased(context, run_of(data), data.pace)
    stop = yield from acted(context, data, operation, "ensure_restored_servers")
    payload = ActivityInput(run=run_of(data, environment=operation.environment))
    document = yield from call(context, "read_restored_servers", payload, data.pace)
    checked = Checked.model_validate(document)
    yield from end(context, data, problem=stop, facts={"checks": [check.document() for check in checked.checks]})
    return Outcome.done()
