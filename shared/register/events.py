"""Events: one row each, inserted before anything is done, and the dead letters among them."""

from collections.abc import AsyncIterator, Callable

from shared.models.events import EventRecord, EventState
from shared.per_loop import per_loop
from shared.register import audit
from shared.register._batches import Batches
from shared.register._records import TRIES, busy, step_back
from shared.register._table import RowConflictError, Write, commit, document_of, query, read, read_many

PARTITION = "events"


def _key(identifier: str) -> str:
    return f"event:{identifier}"


@per_loop
def _batches() -> Batches:
    return Batches(PARTITION)


async def claim(record: EventRecord) -> tuple[EventRecord, str]:
    """Insert the event's row; a repeat returns the one that is there.

    Most events come once: nothing is read first. Events that come at the same time share a transaction.

    Returns:
        The record, and its ETag if it was inserted just now.
    """
    for tries in range(TRIES):
        await step_back(tries)
        try:
            return record, await _write(record)
        except RowConflictError as conflict:
            row = conflict.row or await read(PARTITION, _key(record.id))
            if row:
                return EventRecord.model_validate(row.document), ""
    raise busy(PARTITION)


async def settle(record: EventRecord, etag: str) -> bool:
    """Write what became of an event whose row was not changed since; whether it was as it was."""
    try:
        await _write(record, etag)
    except RowConflictError:
        return False
    return True


async def _write(record: EventRecord, etag: str | None = None) -> str:
    document = document_of(record)
    return await _batches().write(Write(_key(record.id), document, etag=etag), len(str(document)))


async def find(identifier: str) -> EventRecord | None:
    """The event, or None."""
    row = await read(PARTITION, _key(identifier))
    return EventRecord.model_validate(row.document) if row else None


async def change(
    identifier: str, work: Callable[[EventRecord], EventRecord | None], entry: audit.Entry | None = None
) -> EventRecord | None:
    """Change an event's row, with an audit entry where a person did it.

    Args:
        identifier: of the event.
        work: makes the new record of the current one; None leaves it.
        entry: what the audit trail says; the same entry twice is one change.

    Returns:
        The record as it is now, or None when there is none.
    """
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(PARTITION, _key(identifier))
        if row is None:
            return None
        record = EventRecord.model_validate(row.document)
        rows = await read_many(PARTITION, [audit.HEAD, audit.entry_key(entry)]) if entry else {}
        new = None if entry and audit.entry_key(entry) in rows else work(record)
        if new is None:
            return record
        writes = [Write(row.key, document_of(new), etag=row.etag)]
        try:
            await commit(PARTITION, writes + (audit.append(rows.get(audit.HEAD), entry) if entry else []))
        except RowConflictError:
            continue
        return new
    raise busy(PARTITION)


async def claimed() -> AsyncIterator[EventRecord]:
    """Events that were never handed over."""
    async for row in query(f"PartitionKey eq '{PARTITION}' and state eq '{EventState.CLAIMED}'"):
        yield EventRecord.model_validate(row.document)


async def dead(after: str, limit: int) -> list[EventRecord]:
    """At most so many dead letters in the order of their ids, from the one after ``after`` on."""
    wanted = f"PartitionKey eq '{PARTITION}' and RowKey gt '{_key(after)}' and state eq '{EventState.DEAD}'"
    found: list[EventRecord] = []
    async for row in query(wanted):
        found.append(EventRecord.model_validate(row.document))
        if len(found) == limit:
            break
    return found
