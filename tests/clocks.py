"""Time zones of a machine that make naive code wrong, as values of the variable TZ."""

from datetime import UTC, datetime, timedelta

FAR_EAST, HALF_AN_HOUR = "Pacific/Apia", "America/St_Johns"
_ELSEWHERE = timedelta(days=180)


def springing(seconds: float) -> str:
    """A zone at UTC+3 whose clocks leap an hour forward in so many seconds: that hour does not exist."""
    leap = datetime.now(UTC) + timedelta(seconds=seconds, hours=3)
    return f"AAA-3BBB,{_rule(leap)},{_rule(leap + _ELSEWHERE)}"


def repeating(seconds: float) -> str:
    """A zone at UTC+3 whose clocks went an hour back so many seconds ago: this hour is there twice."""
    back = datetime.now(UTC) - timedelta(seconds=seconds) + timedelta(hours=4)
    return f"AAA-3BBB,{_rule(back + _ELSEWHERE)},{_rule(back)}"


def _rule(moment: datetime) -> str:
    """Day of the year from 0, and time of the day, as POSIX writes a change of the clocks."""
    return f"{moment.timetuple().tm_yday - 1}/{moment:%H:%M:%S}"
