from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import lifecycle
from shared.errors import ConfigurationError, RequestRejectedError
from shared.lifecycle import FILE, due_notice, has_ended, limits_of, require_end, why_approval
from shared.models.records import ApplicationRecord, Renewal

TODAY = date(2026, 12, 1)
RULES = """
notices: [14, 7, 1]
limits:
  - {archetype: "*", environment: "*", max_days: 100, lifetime_days: 200, renewals: 3}
  - {archetype: "*", environment: dev, max_days: 10, lifetime_days: 20, renewals: 1}
  - {archetype: api, environment: "*", max_days: 50, lifetime_days: 60, renewals: 2}
  - {archetype: api, environment: prod, max_days: 70, lifetime_days: 80, renewals: 0}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "lifecycle.yaml"
    file.write_text(RULES, encoding="utf-8")
    return file


def application(*renewed: str, archetype: str = "spa", environments: tuple[str, ...] = ("dev",)) -> ApplicationRecord:
    renewals = [Renewal(expires_on=day, reason="needed", asked_by="a", asked_at="t") for day in renewed]
    return ApplicationRecord(
        name="shop-api",
        archetype=archetype,
        archetype_version="1.0.0",
        owner_team="web",
        request_id="req-1",
        state="active",
        environments=list(environments),
        created_at="2026-12-01T10:00:00.000Z",
        renewals=renewals,
    )


@pytest.mark.parametrize(
    ("archetype", "environments", "days"),
    [
        ("spa", ["dev"], 10),
        ("spa", ["dev", "qa"], 100),
        ("api", ["dev"], 50),
        ("api", ["dev", "qa"], 50),
        ("api", ["prod", "dev", "qa"], 70),
    ],
)
def test_the_most_precise_row_counts(path: Path, archetype: str, environments: list[str], days: int) -> None:
    assert limits_of(archetype, environments, path).max_days == days


def test_an_end_lies_so_far_ahead_and_not_a_day_more(path: Path) -> None:
    require_end("spa", ["dev"], None, TODAY, path)
    require_end("spa", ["dev"], TODAY + timedelta(days=10), TODAY, path)
    with pytest.raises(RequestRejectedError, match="at most 10 days ahead: 2026-12-11") as caught:
        require_end("spa", ["dev"], TODAY + timedelta(days=11), TODAY, path)
    assert (caught.value.status, caught.value.code, caught.value.pointer) == (422, "lifetime-too-long", "/expiresOn")


def test_beyond_the_teams_own_renewals_and_beyond_the_lifetime_is_an_approvers(path: Path) -> None:
    assert why_approval(application(), date(2026, 12, 21), path) is None
    assert "renewed 1 times" in str(why_approval(application("2026-12-05"), date(2026, 12, 8), path))
    assert "longer than 20 days" in str(why_approval(application(), date(2026, 12, 22), path))
    prod = application(archetype="api", environments=("dev", "qa", "prod"))
    assert "may do so 0 times" in str(why_approval(prod, date(2026, 12, 8), path))


@given(st.integers(-60, 60))
def test_each_day_has_the_latest_notice_that_is_due(days: int) -> None:
    end = TODAY + timedelta(days=days)
    expected = None if days < 0 else next((notice for notice in (1, 7, 14) if days <= notice), None)
    assert due_notice(end, TODAY) == expected
    assert has_ended(end, TODAY) is (days < 0)


def test_our_own_rules_are_valid() -> None:
    assert limits_of("api", ["dev"]).max_days <= limits_of("api", ["dev", "qa", "prod"]).max_days
    assert FILE.exists()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('archetype: "*", environment: "*"', 'archetype: worker, environment: "*"', "every other"),
        ("archetype: api, environment: prod", 'archetype: api, environment: "*"', "same archetype"),
        ("notices: [14, 7, 1]", "notices: [7, 7]", "each once"),
        ("notices: [14, 7, 1]", "notices: []", "notices"),
        ("max_days: 10,", "max_days: 0,", "max_days|maxDays"),
        ("renewals: 0", "renewals: 0, forever: true", "forever"),
        ("environment: prod", "environment: test", "environment"),
        ("notices", "[", "not YAML"),
    ],
)
def test_a_wrong_file_is_named(path: Path, old: str, new: str, named: str) -> None:
    assert old in RULES
    path.write_text(RULES.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=named):
        lifecycle.limits_of("api", ["dev"], path)
