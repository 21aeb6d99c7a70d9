"""The sweep: what nothing uses is counted, marked when it was seen often enough, and announced before it goes."""

import azure.durable_functions as df

from orchestrators._day2 import acted, begin, day2, end, judged, run_of
from orchestrators._steps import Steps, call, leased
from shared.models.clean_up import CleanUp
from shared.models.operations import OperationInput, OperationState
from shared.models.runs import ActivityInput
from shared.outcome import Outcome


@day2("mark-orphans", "Count and mark resources that nothing uses, and announce their removal.", CleanUp)
def day2_mark_orphans(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Count, mark, and tell: the notices are due on days on which there is nothing to mark as well."""
    operation = yield from begin(context, data)
    operation = yield from judged(context, data, operation, "list_orphans")
    stop = None
    if operation.state == OperationState.ACTING:
        yield from leased(context, run_of(data), data.pace)
        stop = yield from acted(context, data, operation, "set_marks")
    if not operation.dry_run:
        yield from call(context, "send_removal_notices", ActivityInput(run=run_of(data)), data.pace)
    if operation.state == OperationState.ACTING:
        operation = yield from end(context, data, problem=stop)
    return Outcome.done({"state": operation.state})
