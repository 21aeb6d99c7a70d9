"""The part of the sweep that answers alerts whose quiet time is over: those that still fire, once each."""

from datetime import UTC, datetime
from typing import Any

from shared import maintenance
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.log import LOGGER
from shared.models.day2_alerts import HeldAlert
from shared.models.operations import AskedOperation, Occasion
from shared.register import held_alerts
from triggers._operation_intake import accept
from triggers._sweeping import apart, older

_LOOK_AGAIN = 6 * 3600.0  # whoever started by hand what we had stopped, or took its schedule away, told nobody


async def sweep_held_alerts(client: Any) -> None:
    """Ask for the answers that were put off; what is kept was not resolved meanwhile."""
    async for held in held_alerts.every():
        await apart(held.operation, _answer(client, held))


async def _answer(client: Any, held: HeldAlert) -> None:
    """Ask first, forget then: a process that dies in between asks for the same operation again, which is one."""
    if await _waits(held):
        return
    try:
        await accept(client, _asked(held))
    except RequestRejectedError as error:
        LOGGER.warning("an alert kept by %s is not answered any more: %s", held.operation, error)
    await held_alerts.let_go(held.application, held.fingerprint, held.operation)


async def _waits(held: HeldAlert) -> bool:
    if maintenance.window_of(held.application, held.environment, held.alert.rule, datetime.now(UTC)):
        return True
    stops, now = await held_alerts.stops(held.application, held.environment), utc_now()
    if any(now < stop.until for stop in stops):
        return True
    return any(not stop.until for stop in stops) and not older(held.at, _LOOK_AGAIN)


def _asked(held: HeldAlert) -> AskedOperation:
    return AskedOperation(
        operation="respond-to-alert",
        application=held.application,
        environment=held.environment,
        parameters=dict(held.alert.document()),
        occasion=Occasion.ALERT,
        business_key=f"held/{held.operation}",
        requester="appstore",
        requester_name="App Store",
        reason=f"kept by {held.operation}",
    )
