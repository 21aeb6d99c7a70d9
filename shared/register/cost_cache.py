"""The latest reports of Cost Management, and the claim to fetch a newer one: one at a time over all workers."""

from shared.models.costs import CostCacheRecord
from shared.register._table import RowConflictError, Write, commit, document_of, read

_PARTITION = "costs"
_TRIES = 20


def _key(subscription: str, month: str) -> str:
    return f"costs:{subscription}:{month}"


async def find(subscription: str, month: str) -> CostCacheRecord | None:
    """What is known about a subscription's month, or None."""
    row = await read(_PARTITION, _key(subscription, month))
    return CostCacheRecord.model_validate(row.document) if row else None


async def claim(subscription: str, month: str, seen: CostCacheRecord | None, holder: str, until: str) -> bool:
    """Become the one who fetches; False when somebody else was faster.

    Args:
        subscription: whose costs.
        month: as YYYY-MM.
        seen: what the caller decided by; if that is not what is there any more, the claim is lost.
        holder: who claims.
        until: from then on somebody else may claim.
    """
    key = _key(subscription, month)
    row = await read(_PARTITION, key)
    there = CostCacheRecord.model_validate(row.document) if row else None
    if there != seen:
        return False
    mine = (there or CostCacheRecord()).model_copy(update={"holder": holder, "until": until})
    try:
        await commit(_PARTITION, [Write(key, document_of(mine), etag=row.etag if row else None)])
    except RowConflictError:
        return False
    return True


async def settle(subscription: str, month: str, holder: str, **update: str) -> None:
    """Write down what became of the claim, and give it back; somebody else's claim is left alone."""
    key = _key(subscription, month)
    for _ in range(_TRIES):
        row = await read(_PARTITION, key)
        if row is None or row.document.get("holder") != holder:
            return
        there = CostCacheRecord.model_validate(row.document)
        new = there.model_copy(update={"holder": "", "until": "", **update})
        try:
            await commit(_PARTITION, [Write(key, document_of(new), etag=row.etag)])
        except RowConflictError:
            continue
        return
