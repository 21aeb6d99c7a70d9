"""A backup now, beside those that Azure takes by itself."""

import azure.durable_functions as df

from orchestrators._day2 import day2, survey_and_act
from orchestrators._steps import Steps
from shared.models.operations import OperationInput
from shared.outcome import Outcome


@day2("back-up", "Take a backup of the application's databases now.")
def day2_back_up(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Back up every database server of the application, or of one stage."""
    operation = yield from survey_and_act(context, data, "list_backup_targets", "ensure_backups")
    return Outcome.done({"state": operation.state})
