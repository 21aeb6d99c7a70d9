"""Commands that were rejected, and what people decided about dead letters, with their audit trail."""

from shared.canonical import digest
from shared.models.commands import DecidedDeadLetter, RejectedCommand
from shared.register import audit
from shared.register._records import TRIES, busy, step_back
from shared.register._table import RowConflictError, Write, commit, document_of, read, read_many, scan

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


async def decided(sequence: int) -> DecidedDeadLetter | None:
    """What was decided about a dead letter, or None."""
    row = await read(PARTITION, _decision_key(sequence))
    return DecidedDeadLetter.model_validate(row.document) if row else None


async def decide(record: DecidedDeadLetter) -> DecidedDeadLetter:
    """Record a decision with its audit entry, before anything is done; a later one finds the first."""
    key = _decision_key(record.sequence)
    detail = f"dead letter {record.sequence}{f' as {record.copy_id}' if record.copy_id else ''}"
    entry = audit.Entry(
        f"{record.sequence}:{record.decision}", record.at, record.actor, f"{record.decision}-command", key, detail
    )
    for tries in range(TRIES):
        await step_back(tries)
        rows = await read_many(PARTITION, [key, audit.HEAD])
        if key in rows:
            return DecidedDeadLetter.model_validate(rows[key].document)
        try:
            await commit(PARTITION, [Write(key, document_of(record)), *audit.append(rows.get(audit.HEAD), entry)])
        except RowConflictError:
            continue
        return record
    raise busy(PARTITION)


def _decision_key(sequence: int) -> str:
    return f"dead-letter:{sequence}"
