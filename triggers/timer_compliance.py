"""Once a day every application's policy states are looked at: events about them may have been lost."""

from datetime import UTC, datetime

import azure.durable_functions as df
import azure.functions as func

from shared.register import requests
from triggers._operation_intake import accept, asked_by_timer
from triggers._sweeping import apart

blueprint = df.Blueprint()
_LIVING = ("active", "expired")


async def check_compliance(timer: func.TimerRequest, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG001 - the SDK sets the hint
    """Ask each application for its violations; one that was asked today is not asked again."""
    await ask_for_remediation(client, datetime.now(UTC))


async def ask_for_remediation(client: df.DurableOrchestrationClient, now: datetime) -> None:
    """Ask once a day; a timer that came late or twice asks for the same."""
    async for application in requests.applications():
        if application.state not in _LIVING:
            continue
        asked = asked_by_timer(application.name, "remediate-compliance", f"compliance/{now:%Y-%m-%d}")
        await apart(application.name, accept(client, asked))


bound = blueprint.durable_client_input(client_name="client")(check_compliance)
timed = blueprint.timer_trigger(arg_name="timer", schedule="0 40 4 * * *")(bound)
blueprint.function_name("check_compliance")(timed)
