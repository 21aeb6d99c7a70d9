"""Claims of Idempotency-Keys: the first insert wins, and the attempts that come under it share it."""

from collections.abc import AsyncIterator
from contextlib import suppress

from shared.models.records import ClaimRecord, ClaimState
from shared.register._records import TRIES, busy
from shared.register._table import RowConflictError, Write, commit, document_of, query, read

_KEY = "claim"


async def claim(record: ClaimRecord) -> ClaimRecord:
    """Claim a request id; returns the claim that holds: ours, or an earlier one that our attempt takes part in.

    Nobody takes part in a claim of another body, or in one whose request is taken in already.
    """
    for _ in range(TRIES):
        row = await read(record.request_id, _KEY)
        held = ClaimRecord.model_validate(row.document) if row else record
        new = [attempt for attempt in record.attempts if attempt not in held.attempts]
        if row and (not new or held.state is ClaimState.STARTED or held.body_hash != record.body_hash):
            return held
        joined = held.model_copy(update={"attempts": (*held.attempts, *new)})
        try:
            await commit(record.request_id, [Write(_KEY, document_of(joined), etag=row.etag if row else None)])
        except RowConflictError:
            continue
        return joined
    raise busy(record.request_id)


async def get(request_id: str) -> ClaimRecord | None:
    """The claim of a request, or None."""
    row = await read(request_id, _KEY)
    return ClaimRecord.model_validate(row.document) if row else None


async def set_state(record: ClaimRecord, state: ClaimState) -> None:
    """Remember how far the intake has come."""
    new = record.model_copy(update={"state": state})
    await commit(record.request_id, [Write(_KEY, document_of(new), force=True)])


async def withdraw(request_id: str, attempt: str) -> None:
    """Forget an attempt that was refused, and with the last one the claim, so that the key may be used again."""
    for _ in range(TRIES):
        row = await read(request_id, _KEY)
        held = ClaimRecord.model_validate(row.document) if row else None
        if row is None or held is None or held.state is ClaimState.STARTED or attempt not in held.attempts:
            return
        kept = tuple(name for name in held.attempts if name != attempt)
        rest = document_of(held.model_copy(update={"attempts": kept})) if kept else None
        try:
            await commit(request_id, [Write(_KEY, rest, etag=row.etag)])
        except RowConflictError:
            continue
        return
    raise busy(request_id)


async def abandon(seen: ClaimRecord) -> None:
    """Forget a claim whose attempts all died, unless somebody came under it or made a new one since it was seen."""
    row = await read(seen.request_id, _KEY)
    if row is None or ClaimRecord.model_validate(row.document) != seen:
        return
    with suppress(RowConflictError):  # somebody else abandoned it, or it is in use by now
        await commit(seen.request_id, [Write(_KEY, None, etag=row.etag)])


async def unfinished() -> AsyncIterator[ClaimRecord]:
    """Claims whose orchestration has not been started."""
    async for row in query(f"kind eq '{_KEY}' and state eq '{ClaimState.CLAIMED}'"):
        yield ClaimRecord.model_validate(row.document)
