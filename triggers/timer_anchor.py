"""Once a day the ends of all audit trails go where nobody can change them."""

from datetime import UTC, datetime

import azure.durable_functions as df
import azure.functions as func

from shared.canonical import canonical_json
from shared.clients import blobs
from shared.log import LOGGER
from shared.register import audit

blueprint = df.Blueprint()


async def anchor_audit(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger's binding
    """Write the anchor of the day; a second run of the same day changes nothing."""
    day = datetime.now(UTC).date().isoformat()
    ends = {name: head.document() for name, head in (await audit.heads()).items()}
    if await blobs.write_anchor(day, canonical_json(ends)):
        LOGGER.info("the ends of %s audit trails are anchored for %s", len(ends), day)


timed = blueprint.timer_trigger(arg_name="timer", schedule="0 10 0 * * *")(anchor_audit)
blueprint.function_name("anchor_audit")(timed)
