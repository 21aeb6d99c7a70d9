"""A removal is taken back: the resource is there again as it was."""

import azure.durable_functions as df

from orchestrators._day2 import day2, survey_and_act
from orchestrators._steps import Steps
from shared.models.clean_up import RestoreTombstone
from shared.models.operations import OperationInput
from shared.outcome import Outcome


@day2("restore-tombstone", "Bring back what a clean-up removed.", RestoreTombstone)
def day2_restore_tombstone(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Put the resource where it was, and hold it against its tombstone."""
    operation = yield from survey_and_act(context, data, "list_restorations", "ensure_restored_resource")
    return Outcome.done({"state": operation.state})
