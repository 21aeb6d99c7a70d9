"""Objects that belong to one event loop: SDK clients hold connections and locks of the loop they were made in."""

import asyncio
from collections.abc import Callable
from functools import wraps
from weakref import WeakKeyDictionary


def per_loop[T](make: Callable[[], T]) -> Callable[[], T]:
    """Make the object once for each running event loop."""
    made: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    @wraps(make)
    def get() -> T:
        loop = asyncio.get_running_loop()
        if loop not in made:
            made[loop] = make()
        return made[loop]

    return get
