"""Clean-up: what was marked and announced, had its days, and is still used by nothing, goes; with a tombstone."""

import azure.durable_functions as df

from orchestrators._day2 import day2, survey_and_act
from orchestrators._steps import Steps
from shared.models.clean_up import CleanUp
from shared.models.operations import OperationInput
from shared.outcome import Outcome


@day2("clean-up", "Remove what was marked as an orphan, announced, and had its days of grace.", CleanUp)
def day2_clean_up(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Remove what is due, first what uses something else that goes; each with a tombstone that brings it back."""
    operation = yield from survey_and_act(context, data, "list_removals", "remove_orphans")
    return Outcome.done({"state": operation.state})
