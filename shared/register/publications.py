"""How far each application's audit trail has been told to other systems: a row beside the trail."""

from shared.models.records import AuditRecord
from shared.register import audit
from shared.register._records import TRIES, busy, step_back
from shared.register._table import Row, RowConflictError, Write, commit, query, read_many

CURSOR = "event-cursor"


async def cursors() -> dict[str, Row]:
    """The cursor of each application that has one."""
    return {row.partition: row async for row in query(f"kind eq '{CURSOR}'")}


def position(cursor: Row | None) -> int:
    """Number of the last entry that was told."""
    return int(cursor.document["position"]) if cursor else 0


async def entries_after(application: str, told: int) -> list[AuditRecord]:
    """The entries that were not told yet, in their order."""
    return [entry for entry in await audit.of_application(application) if entry.sequence > told]


async def advance(application: str, cursor: Row | None, told: int) -> Row:
    """Keep that everything up to this entry was told.

    Raises:
        RowConflictError: somebody else told it, or wants it told again.
    """
    document = {"position": told}
    etags = await commit(application, [Write(CURSOR, document, etag=cursor.etag if cursor else None)])
    return Row(CURSOR, document, etags[0], application)


async def go_back(application: str, told: int, entry: audit.Entry) -> int:
    """Let everything after an entry be told again; returns where the cursor is now.

    A cursor that is further back already stays there.
    """
    for tries in range(TRIES):
        await step_back(tries)
        rows = await read_many(application, [CURSOR, audit.HEAD, audit.entry_key(entry)])
        cursor = rows.get(CURSOR)
        if cursor is None or position(cursor) <= told or audit.entry_key(entry) in rows:
            return position(cursor)
        writes = [Write(CURSOR, {"position": told}, etag=cursor.etag), *audit.append(rows.get(audit.HEAD), entry)]
        try:
            await commit(application, writes)
        except RowConflictError:
            continue
        return told
    raise busy(application)
