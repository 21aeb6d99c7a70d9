"""Findings of drift: one row for each attribute of an environment, opened, closed and opened again."""

from collections.abc import Callable, Sequence

from shared.instance_ids import finding_id
from shared.models.drift import Difference, FindingRecord, FindingState
from shared.register._records import TRIES, busy
from shared.register._table import RowConflictError, Write, commit, document_of, read, scan


def _key(environment: str, identifier: str) -> str:
    return f"finding:{environment}:{identifier}"


async def of_application(application: str, environment: str = "") -> list[FindingRecord]:
    """The findings of an application or of one environment, open ones first."""
    prefix = f"finding:{environment}:" if environment else "finding:"
    found = [FindingRecord.model_validate(row.document) async for row in scan(application, prefix)]
    return sorted(found, key=lambda item: (item.state is FindingState.CLOSED, item.opened_at, item.id))


async def settle(
    application: str, environment: str, differences: Sequence[Difference], *, detection: str, at: str
) -> list[FindingRecord]:
    """Write down what a detection found: new findings open, those that are gone close, those that came back open again.

    The same detection twice changes nothing; one that began before the newest says nothing any more.

    Args:
        application: whose they are.
        environment: the stage.
        differences: everything that was found.
        detection: id of the detection.
        at: when it began, ISO 8601.

    Returns:
        The environment's findings as they are now.
    """
    found = {finding_id(application, environment, item.address, item.attribute): item for item in differences}
    known = {record.id for record in await of_application(application, environment)}
    for identifier in sorted(known | found.keys()):
        difference = found.get(identifier)

        def change(old: FindingRecord | None, difference: Difference | None = difference) -> FindingRecord | None:
            return _next(old, difference, application, environment, detection=detection, at=at)

        await _change(application, environment, identifier, change)
    return await of_application(application, environment)


async def write(record: FindingRecord, change: Callable[[FindingRecord], FindingRecord]) -> FindingRecord:
    """Change a finding that is there."""
    return (
        await _change(record.application, record.environment, record.id, lambda old: change(old) if old else None)
        or record
    )


async def _change(
    application: str, environment: str, identifier: str, change: Callable[[FindingRecord | None], FindingRecord | None]
) -> FindingRecord | None:
    key = _key(environment, identifier)
    for _ in range(TRIES):
        row = await read(application, key)
        old = FindingRecord.model_validate(row.document) if row else None
        new = change(old)
        if new is None or new == old:
            return old
        try:
            await commit(application, [Write(key, document_of(new), etag=row.etag if row else None)])
        except RowConflictError:
            continue
        return new
    raise busy(application)


def _next(
    old: FindingRecord | None,
    difference: Difference | None,
    application: str,
    environment: str,
    *,
    detection: str,
    at: str,
) -> FindingRecord | None:
    """The finding after a detection; None: as it was."""
    if old is None:
        return _new(difference, application, environment, detection=detection, at=at) if difference else None
    if old.checked_at > at:
        return None
    update: dict[str, object] = {"checked_at": at, "detection": detection}
    if difference is None:
        if old.state is FindingState.CLOSED:
            return None
        return old.model_copy(update={**update, "state": FindingState.CLOSED, "closed_at": at})
    update |= {"difference": difference, "seen_at": at}
    if old.state is FindingState.CLOSED:
        update |= {"state": FindingState.OPEN, "opened_at": at, "closed_at": None, "times": old.times + 1}
    return old.model_copy(update=update)


def _new(difference: Difference, application: str, environment: str, *, detection: str, at: str) -> FindingRecord:
    return FindingRecord(
        id=finding_id(application, environment, difference.address, difference.attribute),
        application=application,
        environment=environment,
        state=FindingState.OPEN,
        difference=difference,
        opened_at=at,
        seen_at=at,
        checked_at=at,
        detection=detection,
    )
