"""Off-hours in five zones over two years: each switch once, also when the clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.schedules import Schedule, UnreadableScheduleError, schedule_of, schedule_rules

RULES = schedule_rules()
ZONES = ("Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Australia/Sydney")


def schedule(text: str) -> Schedule:
    found = schedule_of(text, RULES)
    assert found is not None
    return found


def at(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize("zone", ZONES)
def test_over_two_years_each_working_day_has_one_off_and_one_on(zone: str) -> None:
    """Asked every quarter of an hour, as the timer does: each switch is seen once, at its local hour."""
    wanted = schedule(f"off=(M-F,19);on=(M-F,7);tz={zone}")
    moment, seen = datetime(2026, 1, 5, tzinfo=UTC), set()
    end = moment + timedelta(days=2 * 365)
    while moment < end:
        found = wanted.last_switch(moment)
        if found:
            seen.add(found)
        moment += timedelta(minutes=15)
    switches = sorted(when.astimezone(ZoneInfo(zone)) for when, _ in seen)
    inside = [when for when in switches if when.year in (2026, 2027) and when > at("2026-01-06", zone)]
    assert all(when.hour in (7, 19) and when.minute == 0 and when.weekday() < 5 for when in inside)
    days = {when.date() for when in inside[2:-2]}
    assert all(sum(when.date() == day for when in inside) == 2 for day in days)
    assert "2026-12-25" not in {day.isoformat() for day in days}


@pytest.mark.parametrize(
    ("moment", "on"),
    [
        ("2026-11-26T18:59", True),  # a Thursday
        ("2026-11-26T19:00", False),
        ("2026-11-27T06:59", False),
        ("2026-11-27T07:00", True),
        ("2026-11-28T12:00", False),  # Saturday: since Friday evening
        ("2026-11-30T06:59", False),
        ("2026-11-30T07:00", True),
        ("2028-02-29T12:00", True),  # a leap day
    ],
)
def test_the_last_switch_decides_and_not_the_hour(moment: str, on: bool) -> None:
    found = schedule("off=(M-F,19);on=(M-F,7);tz=cet").last_switch(at(moment, "Europe/Berlin"))
    assert found is not None
    assert found[1] is on


def test_an_hour_that_the_clocks_leave_out_is_switched_all_the_same() -> None:
    wanted = schedule("off=(U,2);on=(U,4);tz=Europe/Berlin")
    found = wanted.last_switch(at("2026-03-29T03:30", "Europe/Berlin"))  # there is no 02:00 to 03:00 that day
    assert found == (datetime(2026, 3, 29, 1, tzinfo=UTC), False)


def test_an_hour_that_comes_twice_is_switched_once() -> None:
    wanted = schedule("off=(U,2);on=(U,20);tz=Europe/Berlin")
    first = wanted.last_switch(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    second = wanted.last_switch(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    assert first == second == (datetime(2026, 10, 25, 0, tzinfo=UTC), False)


@pytest.mark.parametrize("text", ["off=[(M-F,21),(U,18)];on=[(M-F,6),(U,10)];tz=pt", "tz=et", "on", "", "OFF=(m-f,19)"])
def test_what_cloud_custodian_reads_is_read(text: str) -> None:
    assert schedule(text).off


def test_who_opts_out_is_left_alone() -> None:
    assert schedule_of("off", RULES) is None


@pytest.mark.parametrize(
    "text", ["off=19", "off=(X,19)", "off=(M-F,25)", "tz=Atlantis", "off=(F-M,19)", "hello", "off="]
)
def test_what_is_no_schedule_is_named(text: str) -> None:
    with pytest.raises(UnreadableScheduleError):
        schedule_of(text, RULES)
