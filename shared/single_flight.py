"""The same work asked for several times at once is done once: whoever comes while it is under way gets its result."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable


class SingleFlight[T]:
    """Work under way in this event loop. It must be work that may be repeated: nothing is remembered after its end."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Future[T]] = {}

    async def join(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work, or wait for the one that does it under this key; what it raises is raised for everybody."""
        flight = self._under_way.get(key)
        if flight is None:
            flight = asyncio.ensure_future(work())
            self._under_way[key] = flight
            flight.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(flight)  # who gives up waiting does not stop it for the others
