"""Which operation answers an alert now, and how often a response was given lately."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.models import Model
from shared.models.day2_alerts import Window
from shared.register._records import TRIES, busy, step_back
from shared.register._table import RowConflictError, Write, commit, document_of, read
from shared.register.controls import PARTITION

_KEPT_DAYS = 8


class Answering(Model):
    """Who answers an alert, the incident that was opened for it, and the id of the alert that was over last."""

    operation: str
    at: str
    incident: str = ""
    resolved: str = ""


class Turn(Model):
    """One time that a response was given."""

    at: str
    target: str
    operation: str


class Turns(Model):
    """The times that a response was given lately, oldest first."""

    turns: list[Turn] = []


async def answering(application: str, fingerprint: str) -> Answering | None:
    """Who answers the alert with this fingerprint, or did last."""
    row = await read(application, _key(fingerprint))
    return Answering.model_validate(row.document) if row else None


async def claim(application: str, fingerprint: str, claimed: Answering, instead_of: str | None) -> Answering:
    """Claim an alert for an operation; returns the claim that holds, ours or somebody else's.

    Args:
        application: partition.
        fingerprint: of the alert.
        claimed: our claim.
        instead_of: the operation that has ended, whose claim may be replaced; None: there must be none.
    """
    key = _key(fingerprint)
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(application, key)
        held = Answering.model_validate(row.document) if row else None
        if held and held.operation not in (claimed.operation, instead_of):
            return held
        new = claimed.model_copy(update={"incident": held.incident, "resolved": held.resolved}) if held else claimed
        try:
            await commit(application, [Write(key, document_of(new), etag=row.etag if row else None)])
        except RowConflictError:
            continue
        return new
    raise busy(application)


async def remember_incident(application: str, fingerprint: str, incident: str) -> None:
    """Remember the incident that was opened for an alert; empty: it is closed."""
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(application, _key(fingerprint))
        if row is None:
            return
        new = Answering.model_validate(row.document).model_copy(update={"incident": incident})
        try:
            await commit(application, [Write(_key(fingerprint), document_of(new), etag=row.etag)])
        except RowConflictError:
            continue
        return
    raise busy(application)


async def remember_resolved(application: str, fingerprint: str, resolved: Answering) -> None:
    """Remember which alert is over: one that fired may be read after it, or be kept until later."""
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(application, _key(fingerprint))
        known = Answering.model_validate(row.document) if row else resolved
        new = known.model_copy(update={"resolved": resolved.resolved})
        try:
            await commit(application, [Write(_key(fingerprint), document_of(new), etag=row.etag if row else None)])
        except RowConflictError:
            continue
        return
    raise busy(application)


async def take_turn(response: str, turn: Turn, *, target: Sequence[Window], everywhere: Sequence[Window]) -> str | None:
    """Count one more time that a response is given; the same operation counts once.

    Returns:
        Why it must not be given, or None.
    """
    key = f"turns:{response}"
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(PARTITION, key)
        known = Turns.model_validate(row.document).turns if row else []
        if any(item.operation == turn.operation for item in known):
            return None
        refused = _exceeded([item for item in known if item.target == turn.target], turn.at, target)
        if refused or (refused := _exceeded(known, turn.at, everywhere)):
            return f"the response {response} was given {refused} ({known[-1].operation} was the last)"
        kept = [item for item in known if item.at > _ago(turn.at, 24 * _KEPT_DAYS)] + [turn]
        try:
            await commit(PARTITION, [Write(key, document_of(Turns(turns=kept)), etag=row.etag if row else None)])
        except RowConflictError:
            continue
        return None
    raise busy(PARTITION)


def _exceeded(known: Sequence[Turn], at: str, windows: Sequence[Window]) -> str | None:
    for window in windows:
        count = sum(item.at > _ago(at, window.hours) for item in known)
        if count >= window.times:
            return f"{count} times in {window.hours:g} h, which is as often as it may"
    return None


def _ago(at: str, hours: float) -> str:
    moment = datetime.fromisoformat(at) - timedelta(hours=hours)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _key(fingerprint: str) -> str:
    return f"alert:{fingerprint.replace('/', '|')}"  # a row key has no slash
