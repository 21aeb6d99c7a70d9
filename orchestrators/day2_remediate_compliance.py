"""What does not comply with Azure Policy is put right, as far as the policies themselves say how."""

import azure.durable_functions as df

from orchestrators._day2 import day2, survey_and_act
from orchestrators._steps import Steps
from shared.models.day2_compliance import RemediateCompliance
from shared.models.operations import OperationInput
from shared.outcome import Outcome


@day2(
    "remediate-compliance", "Begin remediation tasks for what does not comply with Azure Policy.", RemediateCompliance
)
def day2_remediate_compliance(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Survey the policy states of the application's groups and remediate, one task for each policy."""
    operation = yield from survey_and_act(context, data, "list_violations", "remediate")
    return Outcome.done({"state": operation.state})
