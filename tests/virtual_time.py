"""An event loop whose time leaps to the next timer: hours of waiting cost nothing, and always take the same course."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, override

START = 1_000_000.0
SMALLEST = 1e-6  # less than a float of that size can tell would never end


class _Leaping(selectors.DefaultSelector):
    """Waits for nothing: what it was to wait is added to the time."""

    now = START

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout:
            self.now += max(timeout, SMALLEST)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    @override
    def time(self) -> float:
        return self._leaping.now


def now() -> float:
    """The time of the running loop."""
    return asyncio.get_running_loop().time()


def run[T](main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
