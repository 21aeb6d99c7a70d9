"""Supervises listeners: one that dies is logged, restarted with back-off and shown in /admin/host/status."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from local.host.extensions import Listener

_log = logging.getLogger("local.host.listeners")


@dataclass
class ListenerState:
    state: str = "running"
    restarts: int = 0
    error: str = ""


class Listeners:
    """All running listeners and how they fare."""

    def __init__(self, first_back_off: float = 1.0, longest_back_off: float = 60.0) -> None:
        self._first, self._longest = first_back_off, longest_back_off
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self.states: dict[str, ListenerState] = {}

    def start(self, listeners: Mapping[str, Listener]) -> None:
        for name, listener in listeners.items():
            state = self.states[name] = ListenerState()
            self._tasks.append(asyncio.create_task(self._supervise(name, listener, state), name=name))

    async def _supervise(self, name: str, listener: Listener, state: ListenerState) -> None:
        delay = self._first
        while not self._stopping.is_set():
            begun = asyncio.get_running_loop().time()
            try:
                await listener(self._stopping)
                state.error = "it ended by itself"
            except Exception as error:  # noqa: BLE001 - whatever it dies of, the host goes on
                state.error = f"{type(error).__name__}: {error}"
                _log.exception("The listener of %s died; it is restarted in %g s.", name, delay)
            if asyncio.get_running_loop().time() - begun > self._longest:
                delay = self._first
            if self._stopping.is_set():
                return
            state.state, state.restarts = "restarting", state.restarts + 1
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._longest)
            state.state = "running"

    async def stop(self, grace: float) -> None:
        """End all listeners; what they run may finish within `grace` seconds."""
        self._stopping.set()
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks, timeout=grace)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
