"""Off-hours: what a schedule tag says, and whether something should run at a moment.

The language of the tag is Cloud Custodian's, so that customers' tags mean the same here. Unlike there, what counts is
the last switch before a moment, not the hour of it: a timer that came late, or never, is made good by the next one.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import ConfigDict, Field, ValidationError

from shared.errors import ConfigurationError
from shared.models import Model
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "schedules.yaml"
_DAYS = "MTWHFSU"
_LOOK_BACK = 8  # days: a switch a week ago is the last one of a weekly schedule
_PART = re.compile(r"\(([MTWHFSU])(?:-([MTWHFSU]))?,(\d{1,2})\)")
# The short names that Cloud Custodian knows.
_ZONES = {
    "pdt": "America/Los_Angeles", "pt": "America/Los_Angeles", "pst": "America/Los_Angeles", "ast": "America/Phoenix",
    "at": "America/Phoenix", "est": "America/New_York", "edt": "America/New_York", "et": "America/New_York",
    "cst": "America/Chicago", "cdt": "America/Chicago", "ct": "America/Chicago", "mst": "America/Denver",
    "mdt": "America/Denver", "mt": "America/Denver", "gmt": "Etc/GMT", "gt": "Etc/GMT", "bst": "Europe/London",
    "ist": "Europe/Dublin", "cet": "Europe/Berlin", "it": "Asia/Kolkata", "jst": "Asia/Tokyo", "kst": "Asia/Seoul",
    "sgt": "Asia/Singapore", "aet": "Australia/Sydney", "brt": "America/Sao_Paulo", "nzst": "Pacific/Auckland",
    "utc": "Etc/UTC",
}  # fmt: skip


class ScheduleRules(Model):
    """Tag, zone and hours; see the comments of the file."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    tag: str
    sequence_tag: str
    time_zone: str
    off_hour: int = Field(ge=0, le=23)
    on_hour: int = Field(ge=0, le=23)
    stages: list[str]
    skip_days: list[str] = []


class UnreadableScheduleError(ValueError):
    """The tag is not in the language; the text says what is wrong."""


@dataclass(frozen=True)
class Schedule:
    """When something is switched off and on.

    Attributes:
        off, on: weekday (0 is Monday) and hour of each switch, local time.
        zone: the zone of these hours.
        skip: days on which nothing is switched.
    """

    off: frozenset[tuple[int, int]]
    on: frozenset[tuple[int, int]]
    zone: ZoneInfo
    skip: frozenset[date] = frozenset()

    def last_switch(self, at: datetime) -> tuple[datetime, bool] | None:
        """The last switch not later than a moment: when (UTC), and whether it was switched on; None without one.

        An hour that the clocks leave out is switched at when they go on, one that comes twice at its first time.
        """
        local = at.astimezone(self.zone).date()
        days = [local - timedelta(days=back) for back in range(_LOOK_BACK)]
        found = [
            (_moment(day, hour, self.zone), on)
            for day in days
            if day not in self.skip
            for on, switches in ((False, self.off), (True, self.on))
            for weekday, hour in switches
            if weekday == day.weekday()
        ]
        return max((item for item in found if item[0] <= at), default=None)


def _moment(day: date, hour: int, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(hour), zone).astimezone(UTC)


def schedule_rules(path: Path | None = None) -> ScheduleRules:
    """The rules, as the file is now.

    Raises:
        ConfigurationError: the file is missing or malformed.
    """
    file = path or FILE
    return _read(file, stamp(file))


def schedule_of(value: str, rules: ScheduleRules) -> Schedule | None:
    """The schedule that a tag's value says; None when it opts out.

    Raises:
        UnreadableScheduleError: the value is not in the language.
    """
    text = value.strip().strip("'\"").replace(" ", "")
    if text.lower() == "off":
        return None
    parts = _parts(text) if text.lower() not in ("", "on", "true") else {}
    weekdays = range(5)
    return Schedule(
        off=_switches(parts["off"]) if "off" in parts else frozenset((day, rules.off_hour) for day in weekdays),
        on=_switches(parts["on"]) if "on" in parts else frozenset((day, rules.on_hour) for day in weekdays),
        zone=_zone(parts.get("tz", rules.time_zone)),
        skip=frozenset(date.fromisoformat(day) for day in rules.skip_days),
    )


def _parts(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(";") if part]
    parts = {name.lower(): said for name, _, said in pairs}
    if not parts or not all(said for said in parts.values()) or parts.keys() - {"on", "off", "tz"}:
        raise UnreadableScheduleError(f"'{text}' is not off=(M-F,19);on=(M-F,7);tz=...")
    return parts


def _switches(text: str) -> frozenset[tuple[int, int]]:
    inner = text.removeprefix("[").removesuffix("]").upper()
    found = list(_PART.finditer(inner))
    if not found or ",".join(hit[0] for hit in found) != inner:
        raise UnreadableScheduleError(f"'{text}' is not (M-F,19) or a list of such")
    switches = set()
    for hit in found:
        first, last, hour = _DAYS.index(hit[1]), _DAYS.index(hit[2] or hit[1]), int(hit[3])
        if hour > 23 or last < first:  # noqa: PLR2004 - hours of a day
            raise UnreadableScheduleError(f"'{hit[0]}' is no range of days with an hour")
        switches |= {(day, hour) for day in range(first, last + 1)}
    return frozenset(switches)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(_ZONES.get(name.lower(), name))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UnreadableScheduleError(f"'{name}' is no time zone") from error


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> ScheduleRules:
    try:
        return ScheduleRules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(path.name, f"not the rules of schedules: {error}") from error
