"""How many calls to Azure Resource Manager are left: a row for each subscription and kind, shared by all processes."""

from collections.abc import Callable

from shared.models.token_bucket import Bucket
from shared.register._records import TRIES, busy, step_back
from shared.register._table import RowConflictError, Write, commit, document_of, read

type Change = Callable[[Bucket | None], Bucket]


async def change(subscription: str, kind: str, to: Change) -> Bucket:
    """Change the bucket; ``to`` is asked again when another process was faster.

    Raises:
        TransientIntegrationError: the register does not answer, or is written too often.
    """
    partition, key = f"arm:{subscription}", f"calls:{kind}"
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(partition, key)
        new = to(Bucket.model_validate(row.document) if row else None)
        try:
            await commit(partition, [Write(key, document_of(new), etag=row.etag if row else None)])
        except RowConflictError:
            continue
        return new
    raise busy(partition)
