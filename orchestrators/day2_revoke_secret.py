"""A secret leaked: both credentials are made new at once."""

import azure.durable_functions as df

from orchestrators._day2 import day2, survey_and_act
from orchestrators._steps import Steps
from shared.models.day2_secrets import RevokeSecret
from shared.models.operations import OperationInput
from shared.outcome import Outcome


@day2("revoke-secret", "Make every credential of a leaked secret worthless now.", RevokeSecret)
def day2_revoke_secret(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Publish the new credential and, without an overlap, make the old one worthless."""
    operation = yield from survey_and_act(context, data, "list_rotation", "renew_credentials")
    return Outcome.done({"state": operation.state})
