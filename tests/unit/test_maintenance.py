from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.maintenance import FILE, window_of

CALENDAR = """
windows:
  - id: patching
    owner: platform@contoso.com
    applications: ["pay*"]
    environments: [dev, qa]
    rules: ["alert-*-database-*"]
    from: "2026-12-05T20:00:00+01:00"
    until: "2026-12-06T06:00:00+01:00"
    reason: Servers are patched.
  - id: renewal
    owner: network@contoso.com
    applications: ["*"]
    environments: ["*"]
    rules: ["*"]
    from: "2026-12-06T00:00:00Z"
    until: "2026-12-06T12:00:00Z"
    reason: The firewall is renewed.
"""
STORAGE = "alert-payments-api-dev-database-storage"


@pytest.fixture
def calendar(tmp_path: Path) -> Path:
    file = tmp_path / "maintenance_windows.yaml"
    file.write_text(CALENDAR)
    return file


@pytest.mark.parametrize(
    ("about", "at", "expected"),
    [
        (("payments-api", "dev", STORAGE), "2026-12-05T18:59:59+00:00", None),
        (("payments-api", "dev", STORAGE), "2026-12-05T19:00:00+00:00", "patching"),
        (("Payments-API", "dev", STORAGE.upper()), "2026-12-05T19:00:00+00:00", "patching"),
        (("payments-api", "prod", STORAGE), "2026-12-05T19:00:00+00:00", None),
        (("payments-api", None, STORAGE), "2026-12-05T19:00:00+00:00", None),
        (("orders-api", "dev", STORAGE), "2026-12-05T19:00:00+00:00", None),
        (("payments-api", "dev", "alert-x-vault-availability"), "2026-12-05T19:00:00+00:00", None),
        (("payments-api", "dev", STORAGE), "2026-12-06T04:00:00+00:00", "renewal"),
        (("orders-api", None, "anything"), "2026-12-06T11:59:59+00:00", "renewal"),
        (("orders-api", "prod", "anything"), "2026-12-06T12:00:00+00:00", None),
    ],
)
def test_a_window_covers_its_alerts_and_no_others(
    calendar: Path, about: tuple[str, str | None, str], at: str, expected: str | None
) -> None:
    found = window_of(*about, datetime.fromisoformat(at).astimezone(UTC), calendar)
    assert (found.id if found else None) == expected


def test_our_own_calendar_can_be_read() -> None:
    assert window_of("x", "dev", "y", datetime(2026, 12, 6, 0, tzinfo=UTC), FILE) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "windows: 1",
        CALENDAR.replace('"2026-12-06T06:00:00+01:00"', '"2026-12-05T06:00:00+01:00"'),
        CALENDAR.replace('"2026-12-06T06:00:00+01:00"', '"2027-12-06T06:00:00+01:00"'),
        CALENDAR.replace('"2026-12-06T06:00:00+01:00"', '"2026-12-06T06:00:00"'),
        CALENDAR.replace("    owner: platform@contoso.com\n", ""),
        CALENDAR.replace('    rules: ["*"]\n', ""),
        CALENDAR.replace('until: "2026-12-06T12:00:00Z"\n', "\n"),
    ],
)
def test_a_calendar_that_cannot_be_read_is_no_empty_one(calendar: Path, text: str) -> None:
    calendar.write_text(text)
    with pytest.raises(ConfigurationError, match=r"maintenance_windows\.yaml"):
        window_of("payments-api", "dev", STORAGE, datetime(2026, 12, 6, tzinfo=UTC), calendar)
