"""Schedules episodes and activities: in memory while the host lives, recovered from the store when it starts."""

import asyncio
import contextlib
import heapq
import logging
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from local.host.durable.activity import ActivityRunner
from local.host.durable.commit import Effects
from local.host.durable.episode import Episodes
from local.host.durable.mirror import Names
from local.host.durable.store import Activity
from local.host.errors import FunctionTimeoutError, WorkerLostError
from local.host.extensions import Services
from local.host.functions import Function

_log = logging.getLogger("local.host.durable")
_INTERNAL_RETRY = 5.0
_LONGEST_SLEEP = 3600.0


@dataclass(frozen=True)
class Resumed:
    """What an earlier host left unfinished."""

    instances: int
    activities: int


class Engine:
    """Wakes instances when a message is due; one episode at a time per instance, limited by host.json."""

    def __init__(self, services: Services) -> None:
        self.store, self.settings = services.store, services.settings.durable
        self.orchestrators = _by_name(services.functions, "orchestrationTrigger", "orchestration")
        activities = _by_name(services.functions, "activityTrigger", "activity")
        self._episodes = Episodes(services, self.orchestrators, Names(activities, self.orchestrators))
        self._activities = ActivityRunner(services, activities)
        self._episode_slots = asyncio.Semaphore(self.settings.orchestrators)
        self._activity_slots = asyncio.Semaphore(self.settings.activities)
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._alarms: list[tuple[float, str]] = []
        self._alarm_set = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._clock: asyncio.Task[None] | None = None
        self._waiters: dict[str, asyncio.Event] = {}
        self._closing = False

    def start(self) -> Resumed:
        """Queue again everything that was committed and not finished; returns how much that is."""
        self._clock = asyncio.create_task(self._ring())
        waiting = self.store.activities()
        for instance_id, due in self.store.wake_ups():
            self.wake(instance_id, due)
        for activity in waiting:
            self._spawn(self._run_activity(activity))
        return Resumed(self.store.open_instances(), len(waiting))

    async def stop(self, grace: float) -> None:
        """Start nothing more and let what runs finish for `grace` seconds; the rest runs again at the next start."""
        self._closing = True
        if self._clock is not None:
            self._clock.cancel()
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks, timeout=grace)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
            if unfinished:
                _log.warning("Stopped with %d unfinished activities or episodes; they run again.", len(unfinished))

    def wake(self, instance_id: str, due: float = 0.0) -> None:
        if self._closing:
            return
        if due > time.time():
            heapq.heappush(self._alarms, (due, instance_id))
            self._alarm_set.set()
        elif instance_id in self._busy:
            self._again.add(instance_id)
        else:
            self._busy.add(instance_id)
            self._spawn(self._drive(instance_id))

    async def finished(self, instance_id: str, within: float) -> bool:
        """Wait until the instance ends; False when it still runs after `within` seconds."""
        waiter = self._waiters.setdefault(instance_id, asyncio.Event())
        instance = self.store.instance(instance_id)
        if instance is not None and instance.finished:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await waiter.wait()
                return True
        return False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ring(self) -> None:
        while True:
            self._alarm_set.clear()
            while self._alarms and self._alarms[0][0] <= time.time():
                self.wake(heapq.heappop(self._alarms)[1])
            pause = min(self._alarms[0][0] - time.time(), _LONGEST_SLEEP) if self._alarms else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._alarm_set.wait()

    async def _drive(self, instance_id: str) -> None:
        async with self._episode_slots:
            self._again.discard(instance_id)
            try:
                if not self._closing:
                    self._apply(await self._episodes.run(instance_id))
            except (WorkerLostError, FunctionTimeoutError) as error:
                _log.warning("The episode of %s is run again: %s", instance_id, error)
                self._again.add(instance_id)
            except Exception:  # noqa: BLE001 - a fault of this host: rolled back, so trying again is safe
                _log.exception("The episode of %s failed in the host; next try in %g s", instance_id, _INTERNAL_RETRY)
                self.wake(instance_id, time.time() + _INTERNAL_RETRY)
            finally:
                self._busy.discard(instance_id)
        if instance_id in self._again:
            self.wake(instance_id)

    def _apply(self, effects: Effects) -> None:
        for activity in effects.activities:
            self._spawn(self._run_activity(activity))
        for due, instance_id in effects.wake:
            self.wake(instance_id, due)
        for instance_id in effects.finished:
            if waiter := self._waiters.pop(instance_id, None):
                waiter.set()

    async def _run_activity(self, activity: Activity) -> None:
        async with self._activity_slots:
            while not self._closing:
                try:
                    await self._activities.run(activity)
                except WorkerLostError as error:
                    _log.warning("Activity %s of %s is run again: %s", activity.name, activity.instance_id, error)
                else:
                    self.wake(activity.instance_id)
                    return


def _by_name(functions: Mapping[str, Function], kind: str, attribute: str) -> dict[str, Function]:
    """The name in the trigger wins over the function's own name."""
    return {str(f.trigger.get(attribute) or f.name): f for f in functions.values() if f.kind == kind}
