"""Orphans of an application: one row for each resource that sweeps have seen unused."""

from collections.abc import AsyncIterator, Callable, Sequence

from pydantic import ValidationError

from shared.canonical import sha256_hex
from shared.log import LOGGER
from shared.models.clean_up import OrphanRecord
from shared.models.messages import IntentRecord
from shared.register import intents
from shared.register._records import TRIES, busy, step_back
from shared.register._table import RowConflictError, Write, commit, document_of, query, read, read_many, scan


def orphan_key(resource: str) -> str:
    """Row key of an orphan: ARM ids are the same whatever their case."""
    return f"orphan:{sha256_hex(resource.lower().encode())[:24]}"


async def find(application: str, resource: str) -> OrphanRecord | None:
    """The orphan, or None."""
    row = await read(application, orphan_key(resource))
    return OrphanRecord.model_validate(row.document) if row else None


async def of_application(application: str) -> list[OrphanRecord]:
    """The orphans of an application, in no particular order."""
    return [OrphanRecord.model_validate(row.document) async for row in scan(application, "orphan:")]


async def every() -> AsyncIterator[OrphanRecord]:
    """Orphans of all applications; one that cannot be read is named in the log."""
    async for row in query("kind eq 'orphan'"):
        try:
            yield OrphanRecord.model_validate(row.document)
        except ValidationError:
            LOGGER.exception("the row %s of %s is not readable", row.key, row.partition)


async def change(
    application: str, resource: str, work: Callable[[OrphanRecord | None], OrphanRecord | None]
) -> OrphanRecord | None:
    """Change an orphan's row as it is now; None from ``work`` means that there is none (any more)."""
    key = orphan_key(resource)
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(application, key)
        old = OrphanRecord.model_validate(row.document) if row else None
        new = work(old)
        if new == old:
            return old
        try:
            await commit(application, [Write(key, document_of(new) if new else None, etag=row.etag if row else None)])
        except RowConflictError:
            continue
        return new
    raise busy(application)


async def announce(
    application: str, told: Sequence[tuple[OrphanRecord, OrphanRecord]], messages: Sequence[IntentRecord]
) -> bool:
    """Write down that orphans were announced, together with the message that does it.

    Args:
        application: whose they are.
        told: each as it was read, and as it is then.
        messages: the intents; one that is there already means that somebody else was faster.

    Returns:
        Whether it was written; not when a row is no longer as it was read.
    """
    rows = await read_many(application, [orphan_key(old.resource) for old, _ in told])
    found = {key: OrphanRecord.model_validate(row.document) for key, row in rows.items()}
    if any(found.get(orphan_key(old.resource)) != old for old, _ in told):
        return False
    updates = [
        Write(key, document_of(new), etag=rows[key].etag) for _, new in told for key in [orphan_key(new.resource)]
    ]
    try:
        await commit(application, [*updates, *(intents.insertion(message) for message in messages)])
    except RowConflictError:
        return False
    return True
