"""Tags are as the governance demands: what is missing is set, what others set stays."""

import azure.durable_functions as df

from orchestrators._day2 import day2, survey_and_act
from orchestrators._steps import Steps
from shared.models.day2_tags import ReconcileTags
from shared.models.operations import OperationInput
from shared.outcome import Outcome


@day2("reconcile-tags", "Set the governance tags that resources of the application lack.", ReconcileTags)
def day2_reconcile_tags(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Survey every resource of the application and merge the tags that it lacks."""
    operation = yield from survey_and_act(context, data, "list_tag_changes", "set_tags")
    return Outcome.done({"state": operation.state})
