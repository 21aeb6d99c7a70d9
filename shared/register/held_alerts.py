"""Alerts that are kept until their quiet time is over, and what we stopped ourselves."""

from collections.abc import AsyncIterator
from contextlib import suppress

from pydantic import ValidationError

from shared.log import LOGGER
from shared.models.day2_alerts import HeldAlert, OwnStop
from shared.register._table import RowConflictError, Write, commit, document_of, query, read, scan

_HELD, _STOP = "held-alert", "own-stop"


async def hold(alert: HeldAlert) -> None:
    """Keep an alert; the newest of a fingerprint counts."""
    await commit(alert.application, [Write(_held_key(alert.fingerprint), document_of(alert), force=True)])


async def every() -> AsyncIterator[HeldAlert]:
    """The alerts of all applications that are kept; one that cannot be read is named in the log."""
    async for row in query(f"kind eq '{_HELD}'"):
        try:
            yield HeldAlert.model_validate(row.document)
        except ValidationError:
            LOGGER.exception("the row %s is not readable", row.key)


async def let_go(application: str, fingerprint: str, operation: str | None = None) -> None:
    """Keep an alert no longer; with an operation, only if it is still the one that this operation kept."""
    row = await read(application, _held_key(fingerprint))
    if row is None or operation not in (None, row.document["operation"]):
        return
    with suppress(RowConflictError):  # kept anew meanwhile: that one stays
        await commit(application, [Write(row.key, None, etag=row.etag)])


async def remember_stop(application: str, stop: OwnStop) -> None:
    """Remember that we stop something: whatever alarms from now on alarms because of that."""
    await commit(application, [Write(_stop_key(stop.resource), document_of(stop), force=True)])


async def end_stop(application: str, resource: str, until: str) -> None:
    """Remember that what we stopped runs again, and until when its metrics tell of before."""
    row = await read(application, _stop_key(resource))
    if row is None or row.document["until"]:
        return
    started = OwnStop.model_validate(row.document).model_copy(update={"until": until})
    with suppress(RowConflictError):  # stopped anew meanwhile
        await commit(application, [Write(row.key, document_of(started), etag=row.etag)])


async def forget_stop(application: str, resource: str) -> None:
    """Forget that we stopped something: it does not matter any more, or the stop failed."""
    row = await read(application, _stop_key(resource))
    if row is not None:
        with suppress(RowConflictError):
            await commit(application, [Write(row.key, None, etag=row.etag)])


async def stops(application: str, environment: str | None) -> list[OwnStop]:
    """What we stopped in an environment."""
    found = [OwnStop.model_validate(row.document) async for row in scan(application, f"{_STOP}:")]
    return [stop for stop in found if stop.environment == environment]


def _held_key(fingerprint: str) -> str:
    return f"{_HELD}:{fingerprint.replace('/', '|')}"


def _stop_key(resource: str) -> str:
    return f"{_STOP}:{resource.lower().replace('/', '|')}"
