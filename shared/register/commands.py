"""Commands that were rejected, with their audit trail: nobody waits for an answer, so the reason is kept."""

from shared.canonical import digest
from shared.models.commands import RejectedCommand
from shared.register import audit
from shared.register._records import TRIES, busy, step_back
from shared.register._table import RowConflictError, Write, commit, document_of, read_many, scan

PARTITION = "queue:commands"  # no application has a colon in its name


async def reject(record: RejectedCommand) -> None:
    """Record a rejection with its audit entry; a repeat leaves the first one."""
    name = digest({"id": record.id})[:16]
    key = f"rejected-command:{name}"
    entry = audit.Entry(
        f"{name}:reject", record.at, "appstore", "reject-command", record.id[:200], record.detail[:1000]
    )
    for tries in range(TRIES):
        await step_back(tries)
        rows = await read_many(PARTITION, [key, audit.HEAD])
        if key in rows:
            return
        try:
            await commit(PARTITION, [Write(key, document_of(record)), *audit.append(rows.get(audit.HEAD), entry)])
        except RowConflictError:
            continue
        return
    raise busy(PARTITION)


async def rejected(count: int) -> list[RejectedCommand]:
    """The newest rejections."""
    rows = [RejectedCommand.model_validate(row.document) async for row in scan(PARTITION, "rejected-command:")]
    return sorted(rows, key=lambda record: record.at, reverse=True)[:count]
