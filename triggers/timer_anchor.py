"""Once a day the ends of all audit trails go where nobody can change them, and what is old goes away."""

from datetime import UTC, datetime, timedelta

import azure.durable_functions as df
import azure.functions as func

from shared.canonical import canonical_json
from shared.clients import blobs
from shared.log import LOGGER
from shared.register import audit, retention
from shared.settings import AppStoreSettings, load
from triggers._sweeping import apart

blueprint = df.Blueprint()

_ROUNDS = 50  # of a thousand rows a day: what is more waits for the next day
_KEPT = {
    "events": retention.remove_events,
    "rejected commands": retention.remove_rejected_commands,
    "operations": retention.remove_operations,
}


async def anchor_audit(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger's binding
    """Write the anchor of the day and remove what is old; a second run of the same day changes nothing."""
    day = datetime.now(UTC).date().isoformat()
    ends = {name: head.document() for name, head in (await audit.heads()).items()}
    if await blobs.write_anchor(day, canonical_json(ends)):
        LOGGER.info("the ends of %s audit trails are anchored for %s", len(ends), day)
    await remove_what_is_old(datetime.now(UTC))


async def remove_what_is_old(now: datetime) -> None:
    """Remove what nobody needs after the days that the setting says; one kind that fails keeps no other."""
    before = now - timedelta(days=load(AppStoreSettings).retention_days)
    for what in _KEPT:
        await apart(f"old {what}", _remove(what, before))


async def _remove(what: str, before: datetime) -> None:
    removed = await _KEPT[what](before, _ROUNDS)
    if removed:
        LOGGER.info("%s %s from before %s were removed", removed, what, before.date())


timed = blueprint.timer_trigger(arg_name="timer", schedule="0 10 0 * * *")(anchor_audit)
blueprint.function_name("anchor_audit")(timed)
