"""The machine's time zone changes nothing: neither a far one, nor one in the middle of a change of its clocks."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.host import ncrontab
from orchestrators._steps import moment
from shared.clients._retry_after import retry_after
from shared.clock import utc_now
from shared.models.application_request import ApplicationRequest
from shared.telemetry.spans import nanoseconds
from tests import clocks
from tests.e2e.driver import body
from triggers._sweeping import age, older

ZONES = {
    "Apia": clocks.FAR_EAST,
    "St Johns": clocks.HALF_AN_HOUR,
    "Kathmandu": "Asia/Kathmandu",
    "clocks sprang": clocks.springing(-600),
    "this hour twice": clocks.repeating(600),
}
WALL = datetime(2026, 1, 1, 0, 10)  # noqa: DTZ001 - what a clock on a wall shows has no zone
# Around changes of the clocks: Berlin back, New York back, St John's forward, Apia's lost day of 2011.
CHANGES = [
    "2026-10-25T00:59:59.999Z",
    "2026-11-01T06:30:00.000Z",
    "2026-03-08T05:31:00.000Z",
    "2011-12-30T10:00:00.000Z",
]


@pytest.fixture(params=list(ZONES.values()), ids=list(ZONES))
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_the_zones_are_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    offsets = set()
    for zone in ZONES.values():
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        offsets.add(time.localtime().tm_gmtoff)
    monkeypatch.undo()
    time.tzset()
    assert len(offsets) >= 5
    assert {3 * 3600, 4 * 3600} <= offsets


def test_now_is_utc(zone: str) -> None:
    assert zone
    before = time.time()
    now = datetime.fromisoformat(utc_now())
    assert now.utcoffset() == timedelta(0)
    assert before - 0.002 <= now.timestamp() <= time.time()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("text", CHANGES)
def test_a_time_of_a_row_is_an_instant(text: str) -> None:
    instant = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert moment(text) == instant
    assert nanoseconds(text) == round(instant.timestamp() * 1000) * 1_000_000
    assert age(text) == pytest.approx(time.time() - instant.timestamp(), abs=5)


@pytest.mark.usefixtures("zone")
def test_what_is_old_is_old_by_the_clock_on_the_wall_of_nobody() -> None:
    before = (datetime.now(UTC) - timedelta(seconds=30)).isoformat(timespec="milliseconds")
    assert older(before, 20)
    assert not older(before, 40)


@pytest.mark.usefixtures("zone")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.datetimes(WALL, WALL + timedelta(days=730)), st.floats(0.001, 400))
def test_a_deadline_is_as_far_away_as_it_was_set(planned: datetime, hours: float) -> None:
    start = planned.replace(tzinfo=UTC)
    written = (start + timedelta(hours=hours)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (moment(written) - start).total_seconds() == pytest.approx(hours * 3600, abs=0.001)


@pytest.mark.usefixtures("zone")
def test_a_vendors_date_is_read_as_it_is_meant() -> None:
    now = datetime(2026, 10, 25, 0, 59, 30, tzinfo=UTC)
    assert retry_after({"Retry-After": "Sun, 25 Oct 2026 01:00:30 GMT"}, now) == 60
    assert retry_after({"Retry-After": "Sun, 25 Oct 2026 01:00:30 -0000"}, now) == 60
    assert retry_after({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2026-10-25T01:00"}, now) == 30


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("day", ["2026-10-25", "2026-03-29", "2011-12-30"])
def test_the_day_of_expiry_stays_that_day(day: str) -> None:
    record = ApplicationRequest.model_validate(body("payments-api", expiresOn=day))
    assert record.document()["expiresOn"] == day
    assert ApplicationRequest.model_validate(record.document()) == record


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("zone_name", "now", "hours"),
    [
        ("America/St_Johns", WALL.replace(month=3, day=8), 23),
        ("America/St_Johns", WALL.replace(month=11), 25),
        ("Pacific/Apia", WALL.replace(month=7), 24),
    ],
)
def test_a_daily_timer_runs_once_a_day_of_its_own_zone(zone_name: str, now: datetime, hours: int) -> None:
    """``WEBSITE_TIME_ZONE`` is the timer's zone; the days of a change are shorter and longer."""
    home = ZoneInfo(zone_name)
    following = ncrontab.parse("0 10 0 * * *").following(now)
    assert following == now + timedelta(days=1)
    elapsed = following.replace(tzinfo=home).timestamp() - now.replace(tzinfo=home).timestamp()
    assert elapsed == hours * 3600
