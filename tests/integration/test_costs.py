"""Reports of real costs: right to the cent, and asked for once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import costs
from shared.cost_reports import Reading, months, read_costs
from shared.errors import RequestRejectedError, TransientIntegrationError
from shared.identity import Caller
from shared.models.costs import CostRow
from shared.models.records import ApplicationRecord
from shared.register import _table, cost_cache
from tests.e2e import contracts
from tests.integration.world import SUBSCRIPTION, DurableClient, World, caller
from triggers._http import Call, problem_answer
from triggers.http_costs import get_application_costs, list_costs

PRODUCTION = "20000000-0000-0000-0000-000000000002"
FINOPS = caller("finops", "FinOps")
THIS, LAST, *OLDER = months(datetime.now(UTC).date())
CENT = Decimal("0.01")

type Document = dict[str, Any]


@pytest.fixture
async def clean(world: World) -> AsyncIterator[World]:
    """No report and no usage of any month; no other test waits for a limit of one of these."""
    async for row in _table.scan("costs", "costs:"):
        await _table.commit("costs", [_table.Write(row.key, None, etag=row.etag)])
    world.seed("cost_management", {"usage/here": [], "settings/page": {"size": 1000}})
    yield world
    usage(world)


def usage(world: World, *items: Document, limit: int = 1000) -> None:
    """What was used, so that the service reports it; the service's own limit is high unless a test is about it."""
    limits = {"calls": limit, "seconds": 10.0}
    world.seed("cost_management", {"usage/here": list(items), "settings/limit": limits})


def used(cost: float, group: str, subscription: str = SUBSCRIPTION, day: str = f"{LAST}-05", **tags: str) -> Document:
    return {
        "subscription": subscription,
        "date": day,
        "cost": cost,
        "currency": "EUR",
        "group": group,
        "tags": tags,
    }


async def get(handler: Any, who: Caller, name: str = "", **query: str) -> Document:
    client: Any = DurableClient()
    answer = await handler(Call(who, {"name": name}, query, {}, client, b"", "/api/costs"))
    document: Document = answer.document
    return document


def asked(world: World, since: int) -> int:
    return len(world.calls(since, "cost_management"))


async def test_fifty_readers_cost_one_query(clean: World) -> None:
    usage(clean, used(12.345, "rg-any"))
    since = clean.position()
    readings = await asyncio.gather(*(read_costs(SUBSCRIPTION, LAST) for _ in range(50)))
    assert asked(clean, since) == 1
    assert {str(reading.costs) for reading in readings} == {str(readings[0].costs)}
    assert readings[0].costs
    assert [row.cost for row in readings[0].costs.rows] == [Decimal("12.345")]
    await asyncio.gather(*(read_costs(SUBSCRIPTION, LAST) for _ in range(10)))
    assert asked(clean, since) == 1


async def test_an_old_report_is_shown_with_its_age_while_one_reader_fetches_a_newer_one(clean: World) -> None:
    usage(clean, used(10, "rg-any", day=f"{THIS}-01"))
    await read_costs(SUBSCRIPTION, THIS)
    await _age(THIS, hours=9)
    usage(clean, used(25, "rg-any", day=f"{THIS}-01"))
    since = clean.position()
    readings = await asyncio.gather(*(read_costs(SUBSCRIPTION, THIS) for _ in range(50)))
    assert asked(clean, since) == 1
    shown = {(str(_total(reading)), reading.source.stale) for reading in readings}
    assert shown <= {("10.0", True), ("25.0", False)}
    assert ("25.0", False) in shown
    old = [reading for reading in readings if reading.source.stale]
    assert all((reading.source.age_seconds or 0) >= 9 * 3600 for reading in old)


def _total(reading: Reading) -> Decimal:
    assert reading.costs
    return sum((row.cost for row in reading.costs.rows), Decimal(0))


async def _age(month: str, hours: float, **update: str) -> None:
    """Make the report of a month older than it is."""
    key = f"costs:{SUBSCRIPTION}:{month}"
    row = await _table.read("costs", key)
    assert row
    then = (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    await _table.commit("costs", [_table.Write(key, {**row.document, "asOf": then, **update}, etag=row.etag)])


async def test_whoever_died_while_fetching_is_followed_by_somebody_else(clean: World) -> None:
    usage(clean, used(1, "rg-any"))
    long_ago = "2026-01-01T00:00:00.000Z"
    assert await cost_cache.claim(SUBSCRIPTION, LAST, None, "died", long_ago)
    reading = await read_costs(SUBSCRIPTION, LAST)
    assert _total(reading) == 1
    await cost_cache.settle(SUBSCRIPTION, LAST, "died", blob="elsewhere", as_of=long_ago)
    found = await cost_cache.find(SUBSCRIPTION, LAST)
    assert found
    assert found.blob != "elsewhere", "who comes back from the dead changes nothing"


async def test_throttled_is_passed_on_and_nobody_asks_before_its_time(clean: World) -> None:
    usage(clean, used(1, "rg-any"), limit=0)
    world, since = clean, clean.position()
    header = {"x-ms-ratelimit-microsoft.costmanagement-entity-retry-after": "7"}
    header |= {"x-ms-ratelimit-microsoft.costmanagement-tenant-retry-after": "90"}
    world.fault(system="cost_management", mode="status", status=429, headers=header, times=None)
    with pytest.raises(TransientIntegrationError) as caught:
        await get(list_costs, FINOPS, month=LAST)
    answer = problem_answer(caught.value, "/api/costs")
    assert answer.status == 503
    assert 80 <= int(answer.headers["Retry-After"]) <= 90, "the longest of the limits"
    first = asked(world, since)
    assert first == 2, "one question for each subscription"
    world.heal()
    with pytest.raises(TransientIntegrationError):
        await get(list_costs, FINOPS, month=LAST)
    assert asked(world, since) == first


@pytest.mark.long
async def test_the_services_own_limit_is_understood(clean: World) -> None:
    usage(clean, used(1, "rg-any"), limit=0)
    since = clean.position()
    reading = await read_costs(SUBSCRIPTION, LAST)
    assert reading.costs is None
    assert 5 <= (reading.retry_after or 0) <= 12
    assert "429: Too many requests" in str(reading.source.problem)
    assert {call["status"] for call in clean.calls(since, "cost_management")} == {429}


async def test_without_a_newer_report_the_older_one_is_shown(clean: World) -> None:
    usage(clean, used(10, "rg-any", day=f"{THIS}-01"))
    await read_costs(SUBSCRIPTION, THIS)
    await _age(THIS, hours=30)
    clean.fault(system="cost_management", mode="status", status=503, times=None)
    reading = await read_costs(SUBSCRIPTION, THIS)
    assert (_total(reading), reading.source.stale) == (Decimal(10), True)
    assert (reading.source.age_seconds or 0) >= 30 * 3600
    assert "HTTP 503" in str(reading.source.problem)


async def test_a_subscription_that_does_not_answer_makes_the_report_incomplete(clean: World) -> None:
    usage(clean, used(10, "rg-any"))
    clean.fault(system="cost_management", mode="status", status=403, path=PRODUCTION, times=None)
    report = await get(list_costs, FINOPS, month=LAST)
    assert report["complete"] is False
    assert [bool(source["problem"]) for source in report["sources"]] == [False, True]
    assert report["estate"]["total"] == "10.00"


async def test_every_page_is_read_and_the_untagged_share_is_right_to_the_cent(clean: World) -> None:
    record = await clean.order(environments=["dev", "qa"], monthlyBudget=100)
    other = await clean.order()
    name, foreign = record.application, other.application
    items = [
        used(33.335, f"rg-{name}-dev", application=name),
        used(11.11, f"RG-{name}-QA", Application=name),
        used(4.444, f"rg-{name}-dev"),
        used(2.005, "rg-network", application=name),
        used(100.0 / 3, f"rg-{foreign}-dev", application=foreign),
        used(7.77, "rg-platform-dev"),
        used(1.234, "rg-gone-dev", application="gone-api"),
        used(999, f"rg-{name}-dev", day=f"{OLDER[0]}-28", application=name),
        used(50, "rg-platform-prod", PRODUCTION),
        *(used(0.001, f"rg-{number}") for number in range(120)),
    ]
    usage(clean, *items)
    clean.seed("cost_management", {"settings/page": {"size": 10}})
    since = clean.position()
    report = await get(list_costs, FINOPS, month=LAST)
    assert asked(clean, since) > 10
    counted = [item for item in items if item["date"].startswith(LAST)]
    total = sum((Decimal(str(item["cost"])) for item in counted), Decimal(0))
    untagged = sum((Decimal(str(item["cost"])) for item in counted if not item["tags"]), Decimal(0))
    estate = report["estate"]
    assert Decimal(estate["total"]) == total.quantize(CENT, ROUND_HALF_UP)
    assert Decimal(estate["untagged"]) == untagged.quantize(CENT, ROUND_HALF_UP) == Decimal("62.33")
    assert estate["untaggedShare"] == str((untagged / total).quantize(Decimal("0.0001")))
    assert (estate["unattributed"], estate["unknown"]) == ("57.89", {"gone-api": "1.23"})
    line = next(item for item in report["applications"] if item["application"] == name)
    assert line["environments"] == {"dev": "37.78", "other": "2.01", "qa": "11.11"}
    assert (line["actual"], line["untagged"], line["budget"], line["percentOfBudget"]) == (
        "50.89",
        "4.44",
        "100.00",
        51,
    )
    one = await get(get_application_costs, FINOPS, name, month=LAST)
    assert one["costs"] == line
    assert asked(clean, since) == len(clean.calls(since, "cost_management")), "the second report asked nothing new"


async def test_each_call_is_as_the_vendor_documents_it(clean: World) -> None:
    check = contracts.load_check()
    if check is None:
        pytest.skip("the vendors' contracts are not here: the query of costs was not held against its contract")
    clean.seed("cost_management", {"settings/page": {"size": 1}})
    usage(clean, used(1.5, "rg-any"), used(2.5, "rg-other"))
    since = clean.position()
    await get(list_costs, FINOPS, month=str(LAST))
    calls = clean.calls(since, "cost_management")
    assert len(calls) > 1, "the pages that follow are asked for, too"
    found = [complaint for call in calls for complaint in contracts.complaints(check, call)]
    # The link to the next page is the vendor's own; the SDK's operation does not know what is in it.
    assert [complaint for complaint in found if not complaint.endswith("query $skiptoken unknown")] == []


async def test_who_may_not_see_an_application_does_not_see_its_costs(clean: World) -> None:
    record = await clean.order()
    usage(clean, used(5, f"rg-{record.application}-dev", application=record.application))
    stranger, member = caller("s", "Requester", teams=("web",)), caller("m", "Requester", teams=("payments",))
    with pytest.raises(RequestRejectedError, match="There is no application"):
        await get(get_application_costs, stranger, record.application, month=LAST)
    foreign = await get(list_costs, stranger, month=LAST)
    assert record.application not in {item["application"] for item in foreign["applications"]}
    assert foreign["estate"] is None
    own = await get(list_costs, member, month=LAST, team="payments")
    assert Decimal(own["teams"]["payments"]) >= 5
    assert (await get(get_application_costs, member, record.application, month=LAST))["costs"]["actual"] == "5.00"


@pytest.mark.parametrize("month", ["2026-13", "2020-01", "2999-01", "now", "2026-1", "../x"])
async def test_a_month_that_cannot_be_asked_for_is_refused(clean: World, month: str) -> None:
    since = clean.position()
    with pytest.raises(RequestRejectedError, match="month: a month as YYYY-MM") as caught:
        await get(list_costs, FINOPS, month=month)
    assert caught.value.code == "invalid-month"
    assert not asked(clean, since)


async def test_nothing_used_is_no_cost(clean: World) -> None:
    usage(clean)
    report = await get(list_costs, FINOPS, month=LAST)
    assert (report["currency"], report["estate"]["total"], report["estate"]["untaggedShare"]) == ("", "0.00", "0")
    assert report["complete"] is True


NAMES = ("shop-api", "pay-api")
ROWS = st.lists(
    st.builds(
        CostRow,
        application=st.sampled_from(["", *NAMES, "gone-api"]),
        resource_group=st.sampled_from(["rg-shop-api-dev", "RG-PAY-API-QA", "rg-platform", ""]),
        cost=st.decimals(-100, 1000, places=6),
    ),
    max_size=30,
)


@given(ROWS)
def test_every_cent_is_counted_exactly_once(rows: list[CostRow]) -> None:
    found = costs.attribute(rows, [_named(name) for name in NAMES])
    parts = [sum(item.environments.values(), Decimal(0)) for item in found.applications.values()]
    assert sum(parts, Decimal(0)) + sum(found.unknown.values(), Decimal(0)) + found.unattributed == found.total
    assert found.total == sum((row.cost for row in rows), Decimal(0))
    assert found.untagged == sum((row.cost for row in rows if not row.application), Decimal(0))
    inside = sum((item.untagged for item in found.applications.values()), Decimal(0))
    assert inside + found.unattributed == found.untagged


def _named(name: str) -> ApplicationRecord:
    return ApplicationRecord(
        name=name,
        archetype="api",
        archetype_version="1.0.0",
        owner_team="web",
        request_id="req-1",
        state="active",
        environments=["dev", "qa"],
        created_at="2026-12-01T10:00:00.000Z",
    )
