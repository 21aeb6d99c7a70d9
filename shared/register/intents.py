"""Intents of messages: the row before the message, so that a run that died between the two can be told from none."""

from collections.abc import AsyncIterator, Callable

from shared.clock import utc_now
from shared.errors import TransientIntegrationError, VendorCall
from shared.models.messages import IntentRecord, MessageKind, MessageState
from shared.register._table import Row, RowConflictError, Write, commit, document_of, query, read, scan

_TRIES = 10


def _key(request_id: str, kind: MessageKind, occasion: int) -> str:
    return f"message:{request_id}:{kind}:{occasion}"


def _key_of(record: IntentRecord) -> str:
    return _key(record.request_id, record.kind, record.occasion)


def _record(row: Row) -> IntentRecord:
    return IntentRecord.model_validate(row.document)


async def begin(record: IntentRecord) -> tuple[IntentRecord, bool]:
    """Write an intent if there is none; returns the one that is there, and whether it is this one."""
    try:
        await commit(record.application, [insertion(record)])
    except RowConflictError:
        found = await find(record.application, record.request_id, record.kind, record.occasion)
        return (found, False) if found else await begin(record)
    return record, True


def insertion(record: IntentRecord) -> Write:
    """The write of an intent that must not exist yet, for a transaction."""
    return Write(_key_of(record), document_of(record))


async def find(application: str, request_id: str, kind: MessageKind, occasion: int) -> IntentRecord | None:
    """One intent, or None."""
    row = await read(application, _key(request_id, kind, occasion))
    return _record(row) if row else None


async def change(record: IntentRecord, work: Callable[[IntentRecord], IntentRecord | None]) -> IntentRecord | None:
    """Change an intent as it is now.

    Args:
        record: the intent as it was read.
        work: makes the new intent of the current one; None leaves it as it is.

    Returns:
        The new intent; None when ``work`` did not want to change it.
    """
    for _ in range(_TRIES):
        row = await read(record.application, _key_of(record))
        new = work(_record(row)) if row else None
        if row is None or new is None:
            return None
        new = new.model_copy(update={"updated_at": utc_now()})
        try:
            await commit(record.application, [Write(row.key, document_of(new), etag=row.etag)])
        except RowConflictError:
            continue
        return new
    detail = f"the intent {record.key} is written too often"
    raise TransientIntegrationError(VendorCall("table storage", "write", 412), detail)


async def of_request(application: str, request_id: str) -> list[IntentRecord]:
    """The messages of a request, in the order in which they were meant."""
    rows = [_record(row) async for row in scan(application, f"message:{request_id}:")]
    return sorted(rows, key=lambda record: record.created_at)


async def due() -> AsyncIterator[IntentRecord]:
    """Messages of all applications that wait for somebody to send them."""
    async for row in query(f"kind eq 'message' and state eq '{MessageState.DUE}'"):
        yield _record(row)


async def find_for_update(
    application: str, request_id: str, kind: MessageKind, occasion: int
) -> tuple[IntentRecord, Callable[[IntentRecord], Write]] | None:
    """One intent, and the write that replaces it in a transaction if it is unchanged until then."""
    row = await read(application, _key(request_id, kind, occasion))
    return (_record(row), lambda new: Write(row.key, document_of(new), etag=row.etag)) if row else None
