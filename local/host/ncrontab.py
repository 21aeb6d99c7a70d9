"""Timer schedules: NCRONTAB expressions with 6 or 5 fields, and constant intervals (TimerSchedule.cs)."""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from local.host.errors import HostError
from local.host.settings import seconds

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_FIELDS: tuple[tuple[int, int, Mapping[str, int]], ...] = (
    (0, 59, {}),
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 7, _DAYS),
)
_HORIZON = timedelta(days=366 * 8)  # the longest gap: 29 February around a century


class Schedule(Protocol):
    """When a timer runs next, in local wall time."""

    @property
    def frequent(self) -> bool:
        """More often than once a minute: the schedule is not persisted."""

    def following(self, moment: datetime) -> datetime:
        """The first occurrence after `moment`."""


@dataclass(frozen=True)
class Interval:
    period: timedelta

    @property
    def frequent(self) -> bool:
        return self.period < timedelta(minutes=1)

    def following(self, moment: datetime) -> datetime:
        return moment + self.period


@dataclass(frozen=True)
class Cron:
    """Both the day of the month and the day of the week must match, unlike in Unix cron."""

    second: frozenset[int]
    minute: frozenset[int]
    hour: frozenset[int]
    day: frozenset[int]
    month: frozenset[int]
    weekday: frozenset[int]

    @property
    def frequent(self) -> bool:
        return len(self.second) > 1

    def following(self, moment: datetime) -> datetime:
        moment = moment.replace(microsecond=0) + timedelta(seconds=1)
        end = moment + _HORIZON
        while moment < end:
            skipped = self._skip(moment)
            if skipped == moment:
                return moment
            moment = skipped
        raise HostError("The timer schedule never occurs.")

    def _skip(self, moment: datetime) -> datetime:
        """The same moment when it matches, else the start of the next unit worth looking at."""
        midnight = moment.replace(hour=0, minute=0, second=0)
        if moment.month not in self.month:
            return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
        if moment.day not in self.day or moment.isoweekday() % 7 not in self.weekday:
            return midnight + timedelta(days=1)
        if moment.hour not in self.hour:
            return moment.replace(minute=0, second=0) + timedelta(hours=1)
        if moment.minute not in self.minute:
            return moment.replace(second=0) + timedelta(minutes=1)
        return moment if moment.second in self.second else moment + timedelta(seconds=1)


def parse(text: str) -> Schedule:
    """Read a schedule; raises HostError naming what is wrong with it."""
    parts = text.split()
    try:
        if len(parts) == 1:
            return Interval(timedelta(seconds=seconds(text)))
        if len(parts) == 5:
            parts = ["0", *parts]
        values = [_field(part, *limits) for part, limits in zip(parts, _FIELDS, strict=True)]
    except ValueError as error:
        raise HostError(f"The timer schedule '{text}' is invalid: {error}.") from None
    *others, weekday = values
    second, minute, hour, day, month = others
    return Cron(
        second, minute, hour, day, month, frozenset(number % 7 for number in weekday)
    )  # 0 and 7 are both Sunday


def _field(text: str, low: int, high: int, names: Mapping[str, int]) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = (_number(end, names) for end in span.split("-"))
        else:
            first = _number(span, names)
            last = high if step else first
        if not low <= first <= last <= high:
            raise ValueError(f"'{part}' is not within {low}-{high}")
        values.update(range(first, last + 1, int(step or 1)))
    return frozenset(values)


def _number(text: str, names: Mapping[str, int]) -> int:
    return names[text[:3].lower()] if text[:3].lower() in names else int(text)
