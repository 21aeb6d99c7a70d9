from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.freezes import freezes, in_force

CALENDAR = """
freezes:
  - id: short
    environments: [prod]
    from: "2026-12-18T18:00:00+01:00"
    until: "2026-12-20T00:00:00Z"
    reason: Short.
  - id: long
    environments: ["*"]
    from: "2026-12-19T00:00:00Z"
    until: "2026-12-21T00:00:00Z"
    reason: Long.
"""


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.fixture
def calendar(tmp_path: Path) -> Path:
    file = tmp_path / "freezes.yaml"
    file.write_text(CALENDAR)
    return file


@pytest.mark.parametrize(
    ("stage", "at", "expected"),
    [
        ("prod", "2026-12-18T16:59:59+00:00", None),
        ("prod", "2026-12-18T17:00:00+00:00", "short"),
        ("qa", "2026-12-18T18:00:00+00:00", None),
        ("qa", "2026-12-19T00:00:00+00:00", "long"),
        ("prod", "2026-12-19T12:00:00+00:00", "long"),
        ("prod", "2026-12-20T12:00:00+00:00", "long"),
        ("dev", "2026-12-21T00:00:00+00:00", None),
    ],
)
def test_a_freeze_holds_from_its_first_moment_to_before_its_last(
    calendar: Path, stage: str, at: str, expected: str | None
) -> None:
    found = in_force(stage, _at(at), calendar)
    assert (found.id if found else None) == expected


def test_the_rules_get_times_in_utc(calendar: Path) -> None:
    assert freezes(calendar)[0].evidence()["from"] == "2026-12-18T17:00:00Z"


def test_a_changed_calendar_counts_at_once(calendar: Path) -> None:
    assert len(freezes(calendar)) == 2
    calendar.write_text("freezes: []")
    assert freezes(calendar) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "freezes: 1",
        CALENDAR.replace('"2026-12-20T00:00:00Z"', '"2026-12-17T00:00:00Z"'),
        CALENDAR.replace('"2026-12-20T00:00:00Z"', "2026-12-20T00:00:00Z"),
        CALENDAR.replace('"2026-12-20T00:00:00Z"', '"2026-12-20T00:00:00"'),
        CALENDAR.replace("[prod]", "[production]"),
        CALENDAR.replace("    reason: Short.\n", ""),
        CALENDAR.replace("reason: Short.", "reason: Short.\n    reasons: more"),
    ],
)
def test_a_calendar_that_cannot_be_read_is_no_empty_one(calendar: Path, text: str) -> None:
    calendar.write_text(text)
    with pytest.raises(ConfigurationError, match=r"freezes\.yaml"):
        freezes(calendar)


def test_a_missing_calendar_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        freezes(tmp_path / "freezes.yaml")


def test_the_calendar_that_ships_is_valid() -> None:
    assert all(freeze.reason for freeze in freezes())
