from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import prices, quotas
from shared.errors import ConfigurationError
from shared.quotas import Quota, Use

QUOTA = Quota(applications=2, monthly=Decimal(100), items={"big": 1})
ONE = Use(applications=1, monthly=Decimal(40))
USES = st.builds(
    Use,
    applications=st.integers(0, 5),
    monthly=st.decimals(0, 1000, places=2),
    items=st.dictionaries(st.sampled_from(["big", "small"]), st.decimals("0.5", 5, places=1), max_size=2),
)


def test_up_to_the_limit_fits() -> None:
    assert not quotas.exceeded(QUOTA, ONE, Use(applications=1, monthly=Decimal(60), items={"big": Decimal(1)}))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (Use(applications=2), "1 of 2 applications are in use"),
        (Use(monthly=Decimal("60.01")), "100.01 per month would pass the 100 of the quota"),
        (Use(items={"big": Decimal(2)}), "2 of big would pass the 1 of the quota"),
    ],
)
def test_each_limit_is_named_when_it_is_passed(more: Use, sentence: str) -> None:
    assert quotas.exceeded(QUOTA, ONE, more) == [sentence]


def test_a_limit_that_was_lowered_does_not_refuse_what_adds_nothing_to_it() -> None:
    used = Use(applications=1, monthly=Decimal(500), items={"big": Decimal(9)})
    assert not quotas.exceeded(QUOTA, used, Use(applications=1))


@given(USES, USES)
def test_what_is_given_back_leaves_what_was_there(used: Use, more: Use) -> None:
    assert used.plus(more).plus(more, sign=-1) == used.plus(Use())


def test_a_request_uses_what_its_estimate_lists() -> None:
    items = [prices.PricedItem(key="dns.record", environment=name) for name in ("dev", "qa")]
    use = quotas.use_of(prices.estimate(items))
    assert (use.applications, use.items) == (1, {"dns.record": Decimal(2)})
    assert use.monthly > 0


def test_every_limited_item_has_a_price() -> None:
    for team in ("platform", "security", "payments"):
        for key in quotas.find(team).items:
            assert prices.estimate([{"key": key}]).lines


def test_a_team_that_is_not_listed_has_the_default() -> None:
    assert quotas.find("web") == quotas.find("nobody")
    assert quotas.find("platform") != quotas.find("nobody")


@pytest.mark.parametrize("text", ["default: {applications: -1, monthly: 1}", "teams: {}", "default: [", "x: 1"])
def test_a_file_that_is_not_valid_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "quotas.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"quotas\.yaml"):
        quotas.find("payments", path)
