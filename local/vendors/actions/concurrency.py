"""Concurrency groups. https://docs.github.com/actions/how-tos/write-workflows/choose-when-workflows-run."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any


class Group:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()  # hands over in the order of arrival
        self.waiting: list[int] = []
        self.holder: int | None = None


class Groups:
    """One run (or job) of a group is in progress, the others wait in order."""

    def __init__(self, cancel: Callable[[int], None]) -> None:
        self._cancel = cancel
        self._groups: dict[str, Group] = defaultdict(Group)

    @asynccontextmanager
    async def turn(
        self, run: int, name: str | None, rule: dict[str, Any], cancelled: asyncio.Event
    ) -> AsyncIterator[bool]:
        """Wait for the group; False when the run was cancelled, or replaced by a newer one, while it waited."""
        if name is None:
            yield not cancelled.is_set()
            return
        group = self._groups[name.lower()]
        replaced = list(group.waiting) if rule.get("queue") != "max" else []
        if rule.get("cancel-in-progress") is True and group.holder is not None:
            replaced.append(group.holder)
        for other in set(replaced) - {run}:
            self._cancel(other)
        group.waiting.append(run)
        taking, stopping = asyncio.create_task(group.lock.acquire()), asyncio.create_task(cancelled.wait())
        try:
            await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            group.waiting.remove(run)
            group.holder = run if taking.done() else group.holder
            yield not cancelled.is_set()
        finally:
            stopping.cancel()
            if taking.done() and not taking.cancelled():
                group.holder = None
                group.lock.release()
            taking.cancel()
