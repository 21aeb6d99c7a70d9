"""Timer triggers: persisted schedule, past-due run after a restart, one run at a time (TimerListener.cs)."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import partial
from zoneinfo import ZoneInfo

from local.host import ncrontab
from local.host.durable.store import Store
from local.host.errors import FunctionError, HostError, WorkerLostError
from local.host.extensions import Extension, Listener, Services
from local.host.frames import Value
from local.host.functions import Function
from local.host.settings import expand

_log = logging.getLogger("local.host.timers")
_NEVER = "0001-01-01T00:00:00"


class Timers(Extension):
    """The timerTrigger."""

    name = "timers"
    bindings = frozenset({"timerTrigger"})

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        zone = _time_zone(services.environment)
        self._timers = [
            _Timer(services, function, _schedule(function, services.environment), zone)
            for function in services.of_kind("timerTrigger")
        ]

    def listeners(self) -> dict[str, Listener]:
        return {f"timer {timer.function.name}": partial(_Timer.listen, timer) for timer in self._timers}

    def test_value(self, text: str) -> Value:
        del text
        return _info(None, past_due=False)


def _time_zone(environment: Mapping[str, str]) -> tzinfo | None:
    """WEBSITE_TIME_ZONE, else the machine's zone (None)."""
    name = environment.get("WEBSITE_TIME_ZONE")
    return ZoneInfo(name) if name else None


def _schedule(function: Function, environment: Mapping[str, str]) -> ncrontab.Schedule:
    try:
        return ncrontab.parse(expand(str(function.trigger["schedule"]), environment))
    except HostError as error:
        raise HostError(f"Function '{function.name}': {error}") from None


def _info(status: dict[str, str] | None, *, past_due: bool) -> Value:
    document = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
    return "json", json.dumps(document)


class _Timer:
    """One timer function; times are POSIX seconds, schedules wall time of the zone."""

    def __init__(
        self, services: Services, function: Function, schedule: ncrontab.Schedule, zone: tzinfo | None
    ) -> None:
        self.function = function
        self._services, self._schedule, self._zone = services, schedule, zone
        self._store: Store | None = None
        if function.trigger.get("useMonitor", True) and not schedule.frequent:
            self._store = services.store
        self._last: float | None = None

    def _following(self, moment: float) -> float:
        wall = datetime.fromtimestamp(moment, self._zone).replace(tzinfo=None)
        return self._schedule.following(wall).replace(tzinfo=self._zone).timestamp()

    def _first(self, now: float) -> float:
        """The next run: what was stored, unless the schedule was changed since."""
        stored = self._store.timer(self.function.name) if self._store else None
        if stored is None:
            return self._following(now)
        self._last, following, written = stored
        expected = self._following(self._last if self._last is not None else written)
        if abs(expected - following) < 1:
            return following
        _log.info("The schedule of %s was changed.", self.function.name)
        return max(expected, self._following(now))

    def _save(self, following: float) -> None:
        if self._store is not None:
            self._store.save_timer(self.function.name, self._last, following)

    async def listen(self, stopping: asyncio.Event) -> None:
        now = time.time()
        following = self._first(now)
        past_due = following < now
        self._save(following)
        if past_due or self.function.trigger.get("runOnStartup"):
            following = await self._run(following, past_due=past_due)
        while not stopping.is_set():
            pause = following - time.time()
            if pause <= 0:
                following = await self._run(following, past_due=False)
                continue
            # In slices: a suspended machine or a corrected clock must not delay the run.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, 60.0)):
                    await stopping.wait()

    async def _run(self, due: float, *, past_due: bool) -> float:
        status = None
        if self._store is not None:
            last = _NEVER if self._last is None else datetime.fromtimestamp(self._last, UTC).isoformat()
            status = {"Last": last, "LastUpdated": last, "Next": datetime.fromtimestamp(due, UTC).isoformat()}
        begun = time.time()
        reason = f"Timer fired at {datetime.fromtimestamp(begun, UTC).isoformat()}"
        with contextlib.suppress(FunctionError, WorkerLostError):  # logged where it ran; it never stops a schedule
            await self._services.run(self.function, reason, _info(status, past_due=past_due))
        self._last = begun
        following = self._following(max(begun, due))
        self._save(following)
        return max(following, self._following(time.time())) if following < time.time() else following
