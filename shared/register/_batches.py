"""Writes of one partition in common transactions: what comes while one is under way goes together into the next.

Nobody waits for company: who comes alone is written alone. A write fails by itself only, as if it had been alone.

Documentation: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from shared.errors import TransientIntegrationError
from shared.register._table import Row, RowConflictError, Write, commit, read

_ROWS = 100  # of a transaction
_BYTES = 3_000_000  # of 4 MiB
_AT_ONCE = 8
_REFUSED = range(400, 500)  # by the service, for what is in the transaction
_LATER = frozenset({401, 403, 408, 429})  # for reasons that have nothing to do with it


@dataclass
class _Waiting:
    write: Write
    size: int
    done: asyncio.Future[str]

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass
class Batches:
    """The writes of a partition in this event loop."""

    partition: str
    _waiting: list[_Waiting] = field(default_factory=list)
    _work: asyncio.Task[None] | None = None

    async def write(self, write: Write, size: int = 1000) -> str:
        """Write the row; returns its ETag.

        Args:
            write: one row.
            size: about how many bytes it has.

        Raises:
            RowConflictError: its condition does not hold; it was not written.
            TransientIntegrationError: the storage account does not answer.
        """
        waiting = _Waiting(write, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._run())
        return await waiting.done

    async def _run(self) -> None:
        while self._waiting:
            await self._together(self._next())

    def _next(self) -> list[_Waiting]:
        """What fits into one transaction, which has each row once."""
        taken: dict[str, _Waiting] = {}
        left, room = [], _BYTES
        for waiting in self._waiting:
            if waiting.write.key in taken or len(taken) == _ROWS or (taken and waiting.size > room):
                left.append(waiting)
            else:
                taken[waiting.write.key] = waiting
                room -= waiting.size
        self._waiting = left
        return list(taken.values())

    async def _together(self, batch: Sequence[_Waiting]) -> None:
        try:
            etags = await commit(self.partition, [waiting.write for waiting in batch])
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            if len(batch) > 1 and _is_of_one(error):
                await self._apart(batch)
                return
            for waiting in batch:
                waiting.fail(error)
            return
        for waiting, etag in zip(batch, etags, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(etag)

    async def _apart(self, batch: Sequence[_Waiting]) -> None:
        """One of them made the transaction fail: rows that are there already are looked for, the others go on alone."""
        limit = asyncio.Semaphore(_AT_ONCE)

        async def alone(waiting: _Waiting) -> None:
            async with limit:
                row = await self._in_the_way(waiting)
                if row:
                    waiting.fail(RowConflictError("EntityAlreadyExists", row))
                else:
                    await self._together([waiting])

        await asyncio.gather(*map(alone, batch))

    async def _in_the_way(self, waiting: _Waiting) -> Row | None:
        write = waiting.write
        with suppress(TransientIntegrationError):
            return await read(self.partition, write.key) if write.etag is None and not write.force else None
        return None


def _is_of_one(error: Exception) -> bool:
    """Whether one write made the transaction fail, so that the others may succeed without it."""
    if isinstance(error, TransientIntegrationError):
        status = error.call.status_code or 0
        return status in _REFUSED and status not in _LATER
    return isinstance(error, RowConflictError)
