"""Whether an alert has to wait: a maintenance window is in force, or our own schedule stopped something."""

from datetime import UTC, datetime, timedelta

from shared import maintenance
from shared.clients import power
from shared.clock import utc_now
from shared.errors import NotFoundError
from shared.models.day2_alerts import HeldAlert, OwnStop, Quiet, RespondToAlert
from shared.models.operations import OperationRecord
from shared.register import held_alerts

ANNOUNCED = timedelta(minutes=10)  # a stop is announced before it is made, and takes minutes
STALE = timedelta(minutes=15)  # so old may a value be that an alert is judged by


async def quiet(record: OperationRecord, alert: RespondToAlert) -> Quiet | None:
    """Why the alert is not answered now, or None. What we stopped is looked at again: somebody may have started it.

    An application whose database sleeps is unhealthy for that reason alone: a stop keeps its whole environment quiet.
    """
    window = maintenance.window_of(record.application, record.environment, alert.rule, datetime.now(UTC))
    if window is not None:
        until = window.ends.astimezone(UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
        return Quiet(
            reason=f"the maintenance window {window.id} of {window.owner} lasts until {until}", window=window.id
        )
    for stop in await held_alerts.stops(record.application, record.environment):
        if reason := await quiet_by(stop):
            return Quiet(reason=f"{stop.resource.rpartition('/')[2]} {reason} ({stop.operation})")
    return None


async def quiet_by(stop: OwnStop) -> str | None:
    """What keeps quiet: the stop that is being made, that lasts, or that ended a moment ago."""
    now = utc_now()
    if stop.until:
        return "was started by its schedule a moment ago" if now < stop.until else None
    announced = now < later(stop.at, ANNOUNCED)
    return "was stopped by its schedule" if announced or await _still_stopped(stop) else None


def later(moment: str, wait: timedelta) -> str:
    """So much later than a moment, as the register writes it."""
    return (datetime.fromisoformat(moment) + wait).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _still_stopped(stop: OwnStop) -> bool:
    """Whether what we stopped does not run: somebody may have started or removed it."""
    switch = power.switch_of(stop.kind)
    try:
        return switch is not None and await power.is_running(stop.resource, switch) is not True
    except NotFoundError:
        return False


async def hold(record: OperationRecord, alert: RespondToAlert, why: Quiet) -> None:
    """Keep the alert; the sweep asks for its answer when the quiet time is over."""
    held = HeldAlert(
        application=record.application,
        environment=record.environment,
        fingerprint=alert.fingerprint,
        alert=alert,
        operation=record.id,
        window=why.window,
        at=utc_now(),
    )
    await held_alerts.hold(held)
