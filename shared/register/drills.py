"""Drills: one row for each resource of each drill, written over by the same drill only."""

from collections.abc import AsyncIterator, Callable

from pydantic import ValidationError

from shared.canonical import sha256_hex
from shared.log import LOGGER
from shared.models.backups import DrillRecord
from shared.register._records import TRIES, busy, step_back
from shared.register._table import RowConflictError, Write, commit, document_of, query, read, scan


def _key(operation: str, resource: str) -> str:
    return f"drill:{operation}:{sha256_hex(resource.lower().encode())[:16]}"


async def of_application(application: str) -> list[DrillRecord]:
    """The drills of an application, newest first."""
    found = [DrillRecord.model_validate(row.document) async for row in scan(application, "drill:")]
    return sorted(found, key=lambda item: (item.begun_at, item.operation, item.resource), reverse=True)


async def of_operation(application: str, operation: str) -> list[DrillRecord]:
    """What one drill did, in no particular order."""
    return [DrillRecord.model_validate(row.document) async for row in scan(application, f"drill:{operation}:")]


async def every() -> AsyncIterator[DrillRecord]:
    """Drills of all applications; one that cannot be read is named in the log."""
    async for row in query("kind eq 'drill'"):
        try:
            yield DrillRecord.model_validate(row.document)
        except ValidationError:
            LOGGER.exception("the row %s of %s is not readable", row.key, row.partition)


async def write(record: DrillRecord, change: Callable[[DrillRecord], DrillRecord]) -> DrillRecord:
    """Change the row of this drill as it is now; without one, ``record`` is what is changed."""
    application, key = record.application, _key(record.operation, record.resource)
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(application, key)
        old = DrillRecord.model_validate(row.document) if row else None
        new = change(old or record)
        if new == old:
            return new
        try:
            await commit(application, [Write(key, document_of(new), etag=row.etag if row else None)])
        except RowConflictError:
            continue
        return new
    raise busy(application)
