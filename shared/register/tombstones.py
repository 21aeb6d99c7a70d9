"""Tombstones: what was removed from an application, and can be brought back."""

from collections.abc import AsyncIterator, Callable

from pydantic import ValidationError

from shared.log import LOGGER
from shared.models.clean_up import TombstoneRecord, TombstoneState
from shared.register import audit
from shared.register._records import TRIES, busy, step_back
from shared.register._table import RowConflictError, Write, commit, document_of, query, read, read_many, scan
from shared.register.orphans import orphan_key


def _key(identifier: str) -> str:
    return f"tombstone:{identifier}"


async def find(application: str, identifier: str) -> TombstoneRecord | None:
    """The tombstone, or None."""
    row = await read(application, _key(identifier))
    return TombstoneRecord.model_validate(row.document) if row else None


async def find_anywhere(identifier: str) -> TombstoneRecord | None:
    """The tombstone, whichever application it is of; the id must have the form of one."""
    async for row in query(f"kind eq 'tombstone' and RowKey eq '{_key(identifier)}'"):
        return TombstoneRecord.model_validate(row.document)
    return None


async def of_application(application: str) -> AsyncIterator[TombstoneRecord]:
    """Tombstones of an application."""
    async for row in scan(application, "tombstone:"):
        yield TombstoneRecord.model_validate(row.document)


async def every() -> AsyncIterator[TombstoneRecord]:
    """Tombstones of all applications; one that cannot be read is named in the log."""
    async for row in query("kind eq 'tombstone'"):
        try:
            yield TombstoneRecord.model_validate(row.document)
        except ValidationError:
            LOGGER.exception("the row %s of %s is not readable", row.key, row.partition)


async def prepare(record: TombstoneRecord) -> TombstoneRecord:
    """Write a tombstone before the removal; one of something that is gone already stays as it is."""
    key = _key(record.id)
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(record.application, key)
        old = TombstoneRecord.model_validate(row.document) if row else None
        if old and (old.state is not TombstoneState.PREPARED or old == record):
            return old
        try:
            await commit(record.application, [Write(key, document_of(record), etag=row.etag if row else None)])
        except RowConflictError:
            continue
        return record
    raise busy(record.application)


async def settle(
    record: TombstoneRecord, change: Callable[[TombstoneRecord], TombstoneRecord], entry: audit.Entry
) -> TombstoneRecord:
    """Change a tombstone with its audit entry, and forget the orphan that it was; the same entry twice changes once."""
    application, key, orphan = record.application, _key(record.id), orphan_key(record.resource)
    for tries in range(TRIES):
        await step_back(tries)
        rows = await read_many(application, [key, orphan, audit.HEAD, audit.entry_key(entry)])
        old = TombstoneRecord.model_validate(rows[key].document) if key in rows else record
        if audit.entry_key(entry) in rows:
            return old
        new = change(old)
        writes = [Write(key, document_of(new), etag=rows[key].etag if key in rows else None)]
        writes += [Write(orphan, None, etag=rows[orphan].etag)] if orphan in rows else []
        try:
            await commit(application, [*writes, *audit.append(rows.get(audit.HEAD), entry)])
        except RowConflictError:
            continue
        return new
    raise busy(application)
