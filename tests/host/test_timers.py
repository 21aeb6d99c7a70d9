"""Timers on a real host, and schedules."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from local.host import ncrontab
from local.host.errors import HostError

START = datetime(2026, 1, 30, 10, 20, 30)  # noqa: DTZ001 - schedules are wall time; a Friday


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("* * * * * *", "2026-01-30 10:20:31"),
        ("0 */5 * * * *", "2026-01-30 10:25:00"),
        ("*/5 * * * *", "2026-01-30 10:25:00"),
        ("0 30 9 * * Mon-Fri", "2026-02-02 09:30:00"),
        ("0 0 0 * * 0", "2026-02-01 00:00:00"),
        ("0 0 0 * * 7", "2026-02-01 00:00:00"),
        ("0 0 0 * * 5-7", "2026-01-31 00:00:00"),
        ("0 0 0 31 * *", "2026-01-31 00:00:00"),
        ("0 0 0 29 2 *", "2028-02-29 00:00:00"),
        ("0 0 0 13 * Fri", "2026-02-13 00:00:00"),
        ("0 0 12 1 Jan,jul *", "2026-07-01 12:00:00"),
        ("10/20 0 0 * * *", "2026-01-31 00:00:10"),
        ("00:10:00", "2026-01-30 10:30:30"),
        ("1.00:00:00", "2026-01-31 10:20:30"),
    ],
)
def test_schedule(schedule: str, following: str) -> None:
    assert str(ncrontab.parse(schedule).following(START)) == following


@pytest.mark.parametrize("schedule", ["", "* * *", "61 * * * * *", "0 0 0 0 * *", "* * * * * 8", "x * * * * *", "1:2"])
def test_bad_schedules_are_refused(schedule: str) -> None:
    with pytest.raises(HostError, match="schedule"):
        ncrontab.parse(schedule)


def test_a_schedule_that_never_occurs_is_refused() -> None:
    with pytest.raises(HostError, match="never"):
        ncrontab.parse("0 0 0 31 2 *").following(START)


def lines(host: Any, name: str) -> list[str]:
    path = host.folder / name
    return path.read_text().splitlines() if path.exists() else []


def test_timers_on_a_host(new_host: Callable[..., Any], eventually: Callable[..., None]) -> None:
    host = new_host("timers", YEARLY="0 0 0 1 1 *").start()
    assert lines(host, "yearly") == []
    assert host.post("/admin/functions/yearly", json={"input": ""}).status_code == 202
    eventually(lambda: len(lines(host, "yearly")) == 1)
    eventually(lambda: len(lines(host, "every_second")) >= 5, what="the failing timer goes on")
    host.stop()
    notes = lines(host, "every_second")
    assert notes == ["begin", "end"] * (len(notes) // 2)  # never two at a time; the stop let the last one finish


def test_past_due_and_changed_schedule(new_host: Callable[..., Any], eventually: Callable[..., None]) -> None:
    host = new_host("timers", YEARLY="0 0 0 1 1 *").start()
    host.stop()

    def stored() -> tuple[float | None, float]:
        with host.database() as database:
            row: tuple[float | None, float] = database.execute(
                "select last, next from timers where name = 'yearly'"
            ).fetchone()
            return row

    last, following = stored()
    assert last is None
    assert following > time.time()
    missed = datetime.fromtimestamp(following).replace(year=2020).timestamp()  # noqa: DTZ006 - wall time
    with host.database() as database:
        before = datetime.fromtimestamp(following).replace(year=2019).timestamp()  # noqa: DTZ006 - wall time
        database.execute("update timers set last = ?, next = ? where name = 'yearly'", (before, missed))
        database.commit()
    host.start()
    eventually(lambda: len(lines(host, "yearly")) == 1)
    note = json.loads(lines(host, "yearly")[0])
    assert note["past_due"] is True
    assert note["status"]["Next"].startswith("20")
    eventually(lambda: stored()[1] == following, what="one run for all missed occurrences")
    host.stop()

    host.environment["YEARLY"] = "0 0 0 1 7 *"
    host.start()
    eventually(lambda: stored()[1] != following, what="the new schedule is stored")
    assert datetime.fromtimestamp(stored()[1]).month == 7  # noqa: DTZ006 - wall time
    assert len(lines(host, "yearly")) == 1
    host.stop()


def test_a_bad_schedule_stops_the_start(new_host: Callable[..., Any]) -> None:
    host = new_host("timers", YEARLY="never")
    assert host.launch().wait(20) == 1
    assert "Function 'yearly': The timer schedule 'never' is invalid" in host.log()
