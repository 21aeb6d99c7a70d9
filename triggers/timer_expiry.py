"""Once a day the ends of all applications are looked after."""

from datetime import UTC, datetime

import azure.durable_functions as df
import azure.functions as func

from shared.log import LOGGER
from triggers._expiry import look_after_all

blueprint = df.Blueprint()


async def expire_applications(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger's binding
    """Tell teams whose applications end soon, mark those that have ended; a second run of a day changes nothing."""
    failures = await look_after_all(datetime.now(UTC).date())
    if failures:
        LOGGER.error("the ends of %s applications could not be looked after", failures)


timed = blueprint.timer_trigger(arg_name="timer", schedule="0 30 6 * * *")(expire_applications)
blueprint.function_name("expire_applications")(timed)
