"""Claims of Idempotency-Keys: the first insert wins."""

from collections.abc import AsyncIterator
from contextlib import suppress

from shared.models.records import ClaimRecord, ClaimState
from shared.register._table import RowConflictError, Write, commit, document_of, query, read

_KEY = "claim"


async def claim(record: ClaimRecord) -> ClaimRecord:
    """Claim a request id; returns the claim that holds, ours or an earlier one."""
    try:
        await commit(record.request_id, [Write(_KEY, document_of(record))])
    except RowConflictError:
        return await get(record.request_id) or record
    return record


async def get(request_id: str) -> ClaimRecord | None:
    """The claim of a request, or None."""
    row = await read(request_id, _KEY)
    return ClaimRecord.model_validate(row.document) if row else None


async def set_state(record: ClaimRecord, state: ClaimState) -> None:
    """Remember how far the intake has come."""
    new = record.model_copy(update={"state": state})
    await commit(record.request_id, [Write(_KEY, document_of(new), force=True)])


async def withdraw(request_id: str) -> None:
    """Forget a claim whose request was refused, so that the key may be used again."""
    row = await read(request_id, _KEY)
    if row is None:
        return
    with suppress(RowConflictError):  # somebody else withdrew it, or it is in use by now
        await commit(request_id, [Write(_KEY, None, etag=row.etag)])


async def unfinished() -> AsyncIterator[ClaimRecord]:
    """Claims whose orchestration has not been started."""
    async for row in query(f"kind eq '{_KEY}' and state eq '{ClaimState.CLAIMED}'"):
        yield ClaimRecord.model_validate(row.document)
