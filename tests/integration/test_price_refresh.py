"""The price book against a stand-in with the vendor's answers: what is fetched, what is refused, what is estimated."""

import asyncio
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from shared.price_refresh import main, refresh, table
from shared.prices import FILE, PriceBook, estimate, read_book
from tests.integration.world import World

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
MONTH = 730  # hours, as Microsoft's own calculator counts a month
# Item, how many of it, its list price per unit of measure, units of measure a month.
LISTED: list[tuple[str, int, str, Decimal | int]] = [
    ("aks.namespace.small", 1, "0.109623", Decimal(MONTH) / 8),
    ("aks.namespace.small", 3, "0.109623", Decimal(MONTH) / 8),
    ("aks.namespace.medium", 1, "0.109623", Decimal(MONTH) / 2),
    ("aks.namespace.large", 2, "0.109623", MONTH),
    ("aks.cluster.standard", 1, "0.0953", MONTH),
    ("aks.node.Standard_D2ds_v5", 3, "0.129632", MONTH),
    ("aks.node.Standard_D4ds_v5", 3, "0.259264", MONTH),
    ("aks.node.Standard_D8ds_v5", 1, "0.518527", MONTH),
    ("load_balancer.standard", 1, "0.023826", MONTH),
    ("public_ip.standard", 1, "0.004765", MONTH),
    ("container_registry.gb", 120, "0.093017", 1),
    ("dns.record", 10, "0.372404", 1),
    ("key_vault.standard", 100, "0.02793", 1),
    ("log_analytics.gb", 5, "2.616138", 1),
    ("monitor.action_group", 200, "1.86202", Decimal("0.01")),
    ("monitor.alert", 20, "0.093101", 1),
    ("postgresql.backup.gb", 64, "0.095029", 1),
    ("postgresql.flexible.B_Standard_B1ms", 1, "0.016491", MONTH),
    ("postgresql.flexible.B_Standard_B2s", 1, "0.065964", MONTH),
    ("postgresql.flexible.GP_Standard_D2ds_v5", 2, "0.178102", MONTH),
    ("postgresql.flexible.GP_Standard_D4ds_v5", 2, "0.356204", MONTH),
    ("postgresql.flexible.MO_Standard_E2ds_v5", 1, "0.239487", MONTH),
    ("postgresql.storage.gb", 256, "0.115046", 1),
    ("service_bus.standard", 1, "0.01251", MONTH),
    ("static_web_app.standard", 1, "8.38", 1),
    ("storage.blob.hot_lrs.gb", 100, "0.017", 1),
    ("storage.blob.hot_zrs.gb", 100, "0.0212", 1),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    copy = tmp_path / "prices.json"
    copy.write_bytes(FILE.read_bytes())
    return copy


def changed(book: PriceBook, key: str, **query: object) -> PriceBook:
    """The book with another query of one item."""
    document = json.loads(book.model_dump_json(by_alias=True))
    document["items"][key]["query"] |= query
    return PriceBook.model_validate(document)


def found(path: Path) -> tuple[bytes, int, list[str]]:
    """Content and mode of the file, and what lies beside it."""
    return path.read_bytes(), path.stat().st_mode, sorted(item.name for item in path.parent.iterdir())


def run(path: Path) -> int:
    return main(["--file", str(path)])


@pytest.mark.usefixtures("world")
async def test_an_estimate_is_within_one_percent_of_the_list(path: Path) -> None:
    assert len(LISTED) >= 20
    assert {key for key, *_ in LISTED} == {key for key, item in read_book().items.items() if item.query}
    assert await asyncio.to_thread(run, path) == 0
    wrong = []
    for key, quantity, listed, units in LISTED:
        exact = Decimal(listed) * units * quantity
        told = Decimal(estimate([{"key": key, "quantity": quantity}], NOW.date(), path).monthly)
        if abs(told - exact) > exact / 100:
            wrong.append((key, quantity, told, exact))
    assert not wrong


@pytest.mark.usefixtures("world")
async def test_what_is_fetched_says_so_and_a_second_time_changes_nothing(path: Path) -> None:
    before = found(path)[1]
    assert await asyncio.to_thread(run, path) == 0
    content, _, _ = found(path)
    items = read_book(path).items
    assert {item.source for item in items.values() if item.query} == {"azure retail prices"}
    assert all(item.meter_id and item.retrieved >= date(2026, 11, 25) for item in items.values() if item.query)
    assert (items["resource_group"].source, str(items["resource_group"].price)) == ("by hand", "0.0000")
    assert await asyncio.to_thread(run, path) == 0
    assert found(path) == (content, before, ["prices.json"])


async def test_each_list_is_asked_for_once_and_every_page_is_read(world: World) -> None:
    world.seed("retail_prices", {"settings/page": {"size": 1}})
    try:
        since = world.position()
        _, lines = await refresh(read_book(), NOW)
        calls = world.calls(since, "retail_prices")
        assert not [line for line in lines if line.problem]
        first = [call["url"] for call in calls if "skip" not in call["url"]]
        assert len(first) == len(set(first)) < len(lines)
        assert len(calls) > len(first)
    finally:
        world.seed("retail_prices", {"settings/page": {"size": 100}})


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"filter": {"serviceName": "Virtual Machines", "armSkuName": "Standard_D2s_v5"}}, "meters fit: Virtual"),
        ({"filter": {"serviceName": "Virtual Machines", "skuName": "D2s v99"}}, "there is nothing"),
        ({"unit": "100 Hours"}, "no meter per 100 Hours from 0 on; there is Virtual Machines Dsv5 Series / D2s v5"),
        ({"tier": "50"}, "no meter per 1 Hour from 50 on"),
        ({"filter": {"serviceName": "x' or 'a' eq 'a", "skuName": "D2s v5"}}, "there is nothing"),
        ({"filter": {"serviceName": "Virtual Machines", "colour": "blue"}}, "BadRequest|HTTP 400"),
    ],
    ids=["ambiguous", "missing", "another unit", "no such tier", "quoted", "no such field"],
)
@pytest.mark.usefixtures("world")
async def test_a_price_that_is_not_certain_is_not_taken(query: dict[str, object], sentence: str) -> None:
    book = changed(read_book(), "aks.namespace.large", **query)
    new, lines = await refresh(book, NOW)
    kept = [line for line in lines if line.problem]
    assert [line.key for line in kept] == ["aks.namespace.large"]
    assert any(part in kept[0].problem for part in sentence.split("|"))
    assert new.items["aks.namespace.large"] == book.items["aks.namespace.large"], "price, date and source stay"
    assert new.items["aks.namespace.small"].source == "azure retail prices"
    assert "partial: " in table(lines)


async def test_throttled_is_waited_for_and_down_is_told(world: World, path: Path) -> None:
    world.fault(system="retail_prices", mode="status", status=429, headers={"Retry-After": "0"}, times=2)
    assert await asyncio.to_thread(run, path) == 0
    before = found(path)
    world.fault(system="retail_prices", mode="status", status=429, headers={"Retry-After": "3600"}, times=None)
    assert await asyncio.to_thread(run, path) == 1
    assert found(path) == before
    world.heal()
    wrong = {"Items": [], "NextPageLink": "https://elsewhere.example/api/retail/prices", "Count": 0}
    world.fault(system="retail_prices", mode="body", status=200, body=wrong, times=None)
    _, lines = await refresh(read_book(path), NOW)
    assert {line.problem.split(": ")[2] for line in lines} == {"the next page is somewhere else (HTTP 200)"}


@pytest.mark.usefixtures("world")
async def test_another_currency_is_not_taken_for_ours() -> None:
    dollars = read_book().model_copy(update={"currency": "USD"})
    new, lines = await refresh(dollars, NOW)
    assert not [line for line in lines if line.problem]
    assert new.items["aks.namespace.large"].price == Decimal("0.117735")
