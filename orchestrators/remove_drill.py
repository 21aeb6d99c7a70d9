"""What a drill left, because its clean-up was refused or it died, is removed outside of its operation."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._day2 import settled
from orchestrators._steps import Steps
from shared.models.day2_backups import REMOVAL
from shared.models.operations import OperationInput
from shared.models.runs import ActivityInput, Run
from shared.outcome import Outcome


@orchestrator(OperationInput)
def remove_drill(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Remove it, and wait until nothing is left; one that is refused again ends, and a later timer begins anew."""
    run = Run(
        request_id=data.request_id,
        application=data.application,
        branch=REMOVAL,
        attempt=data.attempt,
        origin=data.origin,
    )
    yield from settled(context, data, "remove_restored_servers", ActivityInput(run=run))
    return Outcome.done()
