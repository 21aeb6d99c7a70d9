"""A token bucket that several processes share through one row: what is in it, who may take how much, and when.

Azure Resource Manager has such a bucket for each subscription, principal and kind of call. Ours never holds more than
Azure's: what is taken counts from then on, although the call comes a little later.

Documentation: https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
"""

from dataclasses import dataclass
from typing import Self

from shared.models import Model

EVERYTHING = ""  # a pause of all calls of the kind, not of one resource provider's only
HOLD = 5.0  # seconds for which somebody may keep what he took without anybody waiting for it
_ON_ITS_WAY = 0.2  # seconds that a call needs to Azure
_RESERVE = 0.05  # share that is kept for persons
_FEW = 5  # a sweep looks again when so many may be there


@dataclass(frozen=True)
class Limit:
    """What Azure allows: so many calls at once, and so many more each second."""

    capacity: float
    refill: float

    @property
    def usable(self) -> float:
        """What counts as full: while Azure's bucket is full, it gains nothing for a call that is still on its way."""
        return self.capacity - self.refill * _ON_ITS_WAY

    @property
    def reserve(self) -> float:
        """What sweeps leave for persons."""
        return self.capacity * _RESERVE


LIMITS = {"reads": Limit(250, 25), "writes": Limit(200, 10), "deletes": Limit(200, 10)}


class Bucket(Model):
    """The bucket at one instant; times are seconds since 1970.

    Attributes:
        level: calls that may be made now; below zero: persons wait, and what comes next is theirs.
        at: when that was so.
        ahead: taken without anybody waiting for it; perhaps it is not used yet, and so not gained again.
        ahead_until: from then on that is used, or given up.
        paused: resource provider, or everything, and until when Azure wants no calls.
    """

    schema_version: int = 1
    level: float
    at: float
    ahead: float = 0.0
    ahead_until: float = 0.0
    paused: dict[str, float] = {}

    @classmethod
    def full(cls, limit: Limit, now: float) -> Self:
        """The bucket before its first use."""
        return cls(level=limit.usable, at=now)

    def refilled(self, limit: Limit, now: float) -> Self:
        """The same bucket now. A clock that is behind the one that wrote it changes nothing."""
        ahead = self.ahead if now < self.ahead_until else 0.0
        gained = min(limit.usable - ahead, self.level + max(0.0, now - self.at) * limit.refill)
        return self.model_copy(
            update={
                "level": max(self.level, gained),
                "at": max(self.at, now),
                "ahead": ahead,
                "paused": {provider: until for provider, until in self.paused.items() if until > now},
            }
        )

    def paused_until(self, provider: str = EVERYTHING) -> float:
        """Until when Azure wants no calls of a resource provider; in the past when it does."""
        return max(self.paused.get(EVERYTHING, 0.0), self.paused.get(provider, 0.0))

    def lowered(self, limit: Limit, now: float, level: float) -> Self:
        """The bucket when Azure says that there is no more left than this."""
        there = self.refilled(limit, now)
        return there.model_copy(update={"level": min(there.level, level)})

    def throttled(self, limit: Limit, now: float, provider: str, until: float) -> Self:
        """The bucket after a 429: nobody calls until then. One of Azure Resource Manager itself says it is empty."""
        there = self.refilled(limit, now)
        level = min(there.level, 0.0) if provider == EVERYTHING else there.level
        longest = max(until, there.paused.get(provider, 0.0))
        return there.model_copy(update={"level": level, "paused": {**there.paused, provider: longest}})


@dataclass(frozen=True)
class Lease:
    """What somebody got.

    Attributes:
        bucket: as it is afterwards.
        ready: for each call the instant from which on it may be made.
        wait: without a call: seconds until it makes sense to ask again.
    """

    bucket: Bucket
    ready: tuple[float, ...] = ()
    wait: float = 0.0


def lease(bucket: Bucket, limit: Limit, now: float, *, wanted: int, most: int, person: bool) -> Lease:
    """Take calls: as many as are waited for, and while there is plenty ``most``, to ask less often.

    A person's calls are booked at once, also those that are still to come. A sweep takes what is there beyond the
    reserve, and so never what is booked.
    """
    there = bucket.refilled(limit, now)
    if (until := there.paused_until()) > now:
        return Lease(there, wait=until - now)
    plenty = there.level - most >= limit.capacity / 2
    count = most if plenty else min(wanted, most)
    if not person:
        room = there.level - limit.reserve
        if room < 1:
            return Lease(there, wait=(min(wanted, _FEW) - room) / limit.refill)
        count = min(count, int(room))
    ahead = max(0, count - wanted)
    after = there.model_copy(
        update={
            "level": there.level - count,
            "ahead": there.ahead + ahead,
            "ahead_until": now + HOLD if ahead else there.ahead_until,
        }
    )
    ready = tuple(now + max(0.0, number - there.level) / limit.refill for number in range(1, count + 1))
    return Lease(after, ready)
