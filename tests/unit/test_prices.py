import json
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigurationError
from shared.landing_zones import landing_zones
from shared.prices import FILE, PricedItem, estimate, price_revision

BOOK: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
TODAY = date(2026, 12, 1)
DEV_API: list[PricedItem | dict[str, object]] = [
    {"key": "postgresql.flexible.B_Standard_B1ms", "quantity": 1, "environment": "dev"},
    {"key": "postgresql.storage.gb", "quantity": 32, "environment": "dev"},
    {"key": "aks.namespace.small", "environment": "dev"},
    {"key": "key_vault.standard", "environment": "dev"},
    {"key": "dns.record", "environment": "dev"},
    {"key": "monitor.alert", "quantity": 2, "environment": "dev"},
    {"key": "log_analytics.gb", "quantity": 5, "environment": "dev"},
]

ITEMS = st.lists(
    st.builds(
        PricedItem,
        key=st.sampled_from(sorted(BOOK["items"])),
        quantity=st.decimals(0, 1_000_000, places=3),
        environment=st.sampled_from(["dev", "qa", "prod"]),
    ),
    max_size=12,
)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    copy = tmp_path / "prices.json"
    copy.write_bytes(FILE.read_bytes())
    return copy


def test_an_api_in_dev_costs_what_is_expected() -> None:
    result = estimate(DEV_API, TODAY)
    assert Decimal(35) <= Decimal(result.monthly) <= Decimal(70)
    assert result.currency == "EUR"
    assert result.lines[0].monthly == "12.05"
    assert result.lines[0].environment == "dev"


def test_nothing_costs_nothing() -> None:
    assert estimate([], TODAY).monthly == "0.00"


@given(ITEMS)
def test_the_sum_is_that_of_the_lines_and_each_line_is_rounded_once(items: list[PricedItem]) -> None:
    result = estimate(items, TODAY)
    assert Decimal(result.monthly) == sum((Decimal(line.monthly) for line in result.lines), Decimal(0))
    for item, line in zip(items, result.lines, strict=True):
        price = BOOK["items"][item.key]
        exact = Decimal(price["price"]) * price["hours"] * item.quantity
        assert Decimal(line.monthly) == exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert Decimal(line.monthly).as_tuple().exponent == -2


@given(ITEMS)
def test_the_order_of_items_does_not_change_the_sum(items: list[PricedItem]) -> None:
    assert estimate(items, TODAY).monthly == estimate(items[::-1], TODAY).monthly


@given(ITEMS, ITEMS)
def test_more_items_never_cost_less(items: list[PricedItem], more: list[PricedItem]) -> None:
    assert Decimal(estimate([*items, *more], TODAY).monthly) >= Decimal(estimate(items, TODAY).monthly)


def test_binary_fractions_do_not_leak_into_money() -> None:
    assert estimate([{"key": "log_analytics.gb", "quantity": 0.1}], TODAY).lines[0].quantity == "0.1"


def test_prices_older_than_ninety_days_say_so() -> None:
    retrieved = estimate([], TODAY).retrieved
    fresh, stale = estimate([], retrieved + timedelta(days=90)), estimate([], retrieved + timedelta(days=91))
    assert (fresh.stale_days, fresh.notice) == (90, None)
    assert stale.stale_days == 91
    assert stale.notice == "The prices are 91 days old; they may have changed."


def test_the_oldest_price_used_gives_the_age(book: Path) -> None:
    document = json.loads(json.dumps(BOOK))
    document["items"]["dns.record"]["retrieved"] = "2026-01-01"
    book.write_text(json.dumps(document), encoding="utf-8")
    assert estimate([{"key": "dns.record"}, {"key": "monitor.alert"}], TODAY, book).retrieved == date(2026, 1, 1)
    assert estimate([{"key": "monitor.alert"}], TODAY, book).retrieved > date(2026, 1, 1)


def test_an_item_without_price_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no price for quantum\.computer"):
        estimate([{"key": "quantum.computer"}], TODAY)


@pytest.mark.parametrize("quantity", [-1, "much", float("nan"), float("inf"), 1e9, None])
def test_a_quantity_that_makes_no_sense_names_its_item(quantity: object) -> None:
    with pytest.raises(ConfigurationError, match=r"dns\.record"):
        estimate([{"key": "dns.record", "quantity": quantity}], TODAY)


def test_every_size_of_database_in_the_landing_zones_has_a_price() -> None:
    assert {f"postgresql.flexible.{zone.database_sku}" for zone in landing_zones()} <= set(BOOK["items"])


def test_one_changed_price_changes_revision_and_estimate_at_once(book: Path) -> None:
    before = estimate(DEV_API, TODAY, book)
    assert before.revision == price_revision(book) == price_revision()
    book.write_text(book.read_text(encoding="utf-8").replace('"0.0165"', '"0.0166"'), encoding="utf-8")
    after = estimate(DEV_API, TODAY, book)
    assert after.revision != before.revision
    assert Decimal(after.monthly) > Decimal(before.monthly)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"0.0165"', '"-1"'), ('"EUR"', '"Euro"'), ('"hours": 730', '"hours": 0'), ('"note"', '"notes"'), ("{", "[")],
)
def test_a_wrong_price_book_is_named(book: Path, old: str, new: str) -> None:
    book.write_text(book.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"prices\.json"):
        price_revision(book)
