"""Off-hours: nobody pays at night for what nobody uses."""

import azure.durable_functions as df

from orchestrators._day2 import day2, survey_and_act
from orchestrators._steps import Steps
from shared.models.day2_schedules import ApplySchedule
from shared.models.operations import OperationInput
from shared.outcome import Outcome


@day2("apply-schedule", "Start or stop what the off-hours tags of the application say.", ApplySchedule)
def day2_apply_schedule(context: df.DurableOrchestrationContext, data: OperationInput) -> Steps[Outcome]:
    """Switch every scheduled resource of the application to what its last switch says, in the order of its sequence."""
    operation = yield from survey_and_act(context, data, "list_switches", "set_power_states")
    return Outcome.done({"state": operation.state})
