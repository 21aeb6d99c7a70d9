"""How this process uses what Azure Resource Manager allows: calls are taken in small leases from the shared bucket.

Persons and sweeps have a lane each. While the register does not answer, the process goes by what it last knew: it may
then be throttled, but it is not held up.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from shared.log import LOGGER
from shared.models.token_bucket import EVERYTHING, HOLD, Bucket, Lease, Limit, lease

_PATIENCE = {True: 3.0, False: 10.0}  # with the register, by whether a person waits
_ALONE = 15.0  # then it is asked again
_KEPT = HOLD - 1.0  # clocks differ
_SLACK = 5.0  # calls that are on their way explain so much of a difference
_BETWEEN_CORRECTIONS = 1.0  # all answers of a burst say the same
_MOST = {True: 5, False: 20}  # by whether for a person: a few, so that no person waits for another one's

type Change = Callable[[Bucket | None], Bucket]
type Shared = Callable[[Change], Awaitable[Bucket]]
type Clock = Callable[[], float]


class PausedError(Exception):
    """Azure wants no calls for so long that waiting here makes no sense."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"no calls for {wait:.0f} s")
        self.wait = wait


@dataclass
class _Lane:
    """Who waits, in order, and what has been taken for them."""

    person: bool
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    ready: deque[float] = field(default_factory=deque)
    good_until: float = 0.0
    booked_until: float = 0.0


class Budget:
    """One subscription's calls of one kind, as this process sees them."""

    def __init__(self, limit: Limit, shared: Shared, longest_pause: float, now: Clock = time.time) -> None:
        self._limit = limit
        self._shared = shared
        self._longest_pause = longest_pause
        self._now = now
        self._lanes = {person: _Lane(person) for person in (True, False)}
        self._known: Bucket | None = None
        self._alone_until = 0.0
        self._corrected_at = 0.0
        self._taken_alone = 0

    async def admit(self, provider: str, *, person: bool) -> None:
        """Wait until a call to this resource provider may be made.

        Raises:
            PausedError: Azure wants none for too long.
        """
        lane = self._lanes[person]
        await self._out_pause(provider)
        lane.waiting += 1
        try:
            async with lane.lock:
                ready = await self._next(lane)
        finally:
            lane.waiting -= 1
        await self._sleep_until(ready)
        await self._out_pause(provider)

    async def remaining(self, level: float, sent: float) -> None:
        """Azure said with an answer how much was left when the call came: less than we think corrects us."""
        now = self._now()
        left = level + (now - sent) * self._limit.refill - sum(len(lane.ready) for lane in self._lanes.values())
        known = self._known.refilled(self._limit, now).level if self._known else left
        if left + _SLACK >= known or now < self._corrected_at + _BETWEEN_CORRECTIONS:
            return
        self._corrected_at = now
        await self._change(lambda bucket: bucket.lowered(self._limit, now, left))

    async def throttled(self, provider: str, wait: float) -> None:
        """Azure refused a call: nobody calls before its time."""
        now = self._now()
        if provider == EVERYTHING:
            for lane in self._lanes.values():
                lane.ready.clear()
        await self._change(lambda bucket: bucket.throttled(self._limit, now, provider, now + wait))

    async def _next(self, lane: _Lane) -> float:
        """The instant of the next call of this lane, taking a new lease when the last one is used up."""
        while not lane.ready or self._now() > lane.good_until:
            lane.ready.clear()
            await self._sleep_until(lane.booked_until)
            got = await self._lease(lane)
            if got.ready:
                lane.ready.extend(got.ready)
                lane.booked_until = got.ready[-1]
                lane.good_until = max(lane.booked_until, self._now()) + _KEPT
            else:
                await self._out_pause(EVERYTHING)
                await asyncio.sleep(got.wait)
        return lane.ready.popleft()

    async def _lease(self, lane: _Lane) -> Lease:
        got = Lease(Bucket(level=0, at=0))

        def take(bucket: Bucket) -> Bucket:
            nonlocal got
            got = lease(
                bucket, self._limit, self._now(), wanted=lane.waiting, most=_MOST[lane.person], person=lane.person
            )
            return got.bucket

        if not await self._change(take, _PATIENCE[lane.person]):
            self._taken_alone += len(got.ready)
        return got

    async def _change(self, to: Callable[[Bucket], Bucket], patience: float = _PATIENCE[True]) -> bool:
        """Change the shared bucket, or what this process knows of it; whether the shared one may have the change."""
        written = False
        if self._now() >= self._alone_until:
            try:
                async with asyncio.timeout(patience):
                    self._known = await self._shared(lambda bucket: to(self._settled(bucket)))
            except Exception as error:  # noqa: BLE001 - whatever keeps us from the register must not keep us from Azure
                LOGGER.warning("the budget of calls to Azure is not shared for now: %s", type(error).__name__)
                self._alone_until = self._now() + _ALONE
                written = isinstance(error, TimeoutError)  # perhaps: counted twice, a lease would be lost
            else:
                self._taken_alone = 0
                return True
        self._known = to(self._known or Bucket.full(self._limit, self._now()))
        return written

    def _settled(self, bucket: Bucket | None) -> Bucket:
        """The shared bucket less what was taken while it could not be reached."""
        there = bucket or Bucket.full(self._limit, self._now())
        return there.model_copy(update={"level": there.level - self._taken_alone})

    async def _out_pause(self, provider: str) -> None:
        while (until := self._known.paused_until(provider) if self._known else 0.0) > self._now():
            if until - self._now() > self._longest_pause:
                raise PausedError(until - self._now())
            await self._sleep_until(until)

    async def _sleep_until(self, instant: float) -> None:
        if (wait := instant - self._now()) > 0:
            await asyncio.sleep(wait)
