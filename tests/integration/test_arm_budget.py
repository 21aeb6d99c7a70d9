"""The budget of calls to Azure Resource Manager against its stand-in, which throttles as Azure does."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.clients import _http, monitor, resources
from shared.credential import credential
from shared.errors import NotFoundError, PermanentIntegrationError, TransientIntegrationError
from shared.guard import Action, Facts, permit
from shared.models.token_bucket import LIMITS
from shared.origin import Origin, working_for
from shared.register import _table
from tests.integration.world import World

ALLOWED = permit(Action("undo", "resource group", "x", "req-1"), Facts(owned_by="req-1"))
SYSTEM = "arm"
WRITES = LIMITS["writes"]


@pytest.fixture
def subscription(world: World) -> str:
    """A subscription that nobody has called yet."""
    name = str(uuid.uuid4())
    kind = "Microsoft.Resources/subscriptions"
    document: dict[str, Any] = {"id": f"/subscriptions/{name}", "name": name, "type": kind, "properties": {}}
    world.seed(SYSTEM, {f"resource/subscriptions/{name}": document})
    return name


async def write(subscription: str, name: str, count: int, origin: Origin = Origin.SWEEP) -> None:
    """Groups, all at once."""
    with working_for(origin):
        await asyncio.gather(
            *(
                resources.put_group(
                    f"/subscriptions/{subscription}/resourceGroups/{name}-{i}", "westeurope", {}, ALLOWED
                )
                for i in range(count)
            )
        )


async def another_process(subscription: str, name: str, count: int, origin: Origin = Origin.SWEEP) -> None:
    """The same with an event loop, connections and a budget of its own: it shares the register's row only."""

    async def main() -> None:
        try:
            await write(subscription, name, count, origin)
        finally:
            await _http._client().aclose()
            for table in _table._ready():
                await table.close()
            await credential().close()

    await asyncio.to_thread(asyncio.run, main())


def answers(world: World, since: int, subscription: str) -> list[int]:
    """Statuses of the writes."""
    calls = [call for call in world.calls(since, SYSTEM) if call["method"] == "PUT" and subscription in call["url"]]
    return [call["status"] for call in calls]


@pytest.mark.parametrize("count", [260, pytest.param(600, marks=pytest.mark.long)])
@pytest.mark.parametrize("processes", [2, pytest.param(1, marks=pytest.mark.long)])
async def test_writes_beyond_the_limit_are_paced_and_none_is_lost(
    world: World, subscription: str, count: int, processes: int
) -> None:
    since, began = world.position(), time.monotonic()
    each = count // processes
    await asyncio.gather(*(another_process(subscription, f"rg-{number}", each) for number in range(processes)))
    took, seen = time.monotonic() - began, answers(world, since, subscription)
    assert (seen.count(201), set(seen) - {429}) == (count, {201})
    assert seen.count(429) <= 3
    assert took >= (count - WRITES.capacity) / WRITES.refill


async def test_a_person_is_served_while_sweeps_wait(world: World, subscription: str) -> None:
    sweep = asyncio.create_task(another_process(subscription, "rg-sweep", 260))
    since = world.position()
    while answers(world, since, subscription).count(201) < WRITES.capacity - WRITES.reserve - 5:
        await asyncio.to_thread(world.position)
    await write(subscription, "rg-person", 5, Origin.PERSON)
    assert not sweep.done()
    await sweep


async def test_what_others_used_is_learned_from_the_answers(world: World, subscription: str) -> None:
    await write(subscription, "rg-first", 1)
    for number in range(150):
        path = f"/subscriptions/{subscription}/resourceGroups/rg-other-{number}"
        world.azure(path, "2025-04-01", "PUT", {"location": "westeurope"})
    since = world.position()
    await another_process(subscription, "rg-next", 1)
    await another_process(subscription, "rg-then", 60)
    assert answers(world, since, subscription).count(429) <= 3


async def test_a_long_pause_is_kept_by_every_process_and_azure_is_not_asked(world: World, subscription: str) -> None:
    body = {"error": {"code": "SubscriptionRequestsThrottled", "message": "too many"}}
    world.fault(system=SYSTEM, method="PUT", mode="status", status=429, headers={"Retry-After": "300"}, body=body)
    since = world.position()
    with pytest.raises(TransientIntegrationError) as raised:
        await write(subscription, "rg-a", 1, Origin.PERSON)
    assert raised.value.retry_after == 300
    with pytest.raises(TransientIntegrationError, match="pause") as raised:
        await another_process(subscription, "rg-b", 1, Origin.PERSON)
    assert 290 < (raised.value.retry_after or 0) <= 300
    assert answers(world, since, subscription) == [429]


async def test_a_short_pause_is_waited_for(world: World, subscription: str) -> None:
    body = {"error": {"code": "SubscriptionRequestsThrottled", "message": "too many"}}
    world.fault(system=SYSTEM, method="PUT", mode="status", status=429, headers={"Retry-After": "2"}, body=body)
    since, began = world.position(), time.monotonic()
    await write(subscription, "rg-a", 1)
    await another_process(subscription, "rg-b", 1)
    assert time.monotonic() - began >= 2
    assert answers(world, since, subscription) == [429, 201, 201]


async def test_without_the_register_calls_go_on(world: World, subscription: str) -> None:
    world.fault(system="storage", mode="status", status=503, times=None)
    since = world.position()
    await write(subscription, "rg-a", 20, Origin.PERSON)
    assert answers(world, since, subscription) == [201] * 20


def _metric(subscription: str) -> monitor.WatchedMetric:
    vault = f"/subscriptions/{subscription}/resourceGroups/rg-a/providers/Microsoft.KeyVault/vaults/kv-a"
    return monitor.WatchedMetric(
        resource_id=vault, namespace="Microsoft.KeyVault/vaults", name="Availability", aggregation="Average"
    )


async def _read(subscription: str) -> None:
    now = datetime.now(UTC)
    await monitor.read_metric(_metric(subscription), now - timedelta(minutes=5), now)


def reads(world: World, since: int, subscription: str) -> list[int]:
    """Statuses of the reads."""
    calls = [call for call in world.calls(since, SYSTEM) if call["method"] == "GET" and subscription in call["url"]]
    return [call["status"] for call in calls]


async def test_metrics_of_the_sdk_keep_the_pause_of_their_provider_and_no_other(
    world: World, subscription: str
) -> None:
    body = {"error": {"code": "429", "message": "too many metrics"}}
    world.fault(
        system=SYSTEM, path="Insights/metrics", mode="status", status=429, headers={"Retry-After": "300"}, body=body
    )
    since = world.position()
    with pytest.raises(TransientIntegrationError) as raised:
        await _read(subscription)
    assert raised.value.retry_after == 300
    with pytest.raises(TransientIntegrationError, match="pause"):
        await _read(subscription)
    assert reads(world, since, subscription) == [429]
    await write(subscription, "rg-a", 1)
    with pytest.raises(NotFoundError):
        await resources.read_tags(f"/subscriptions/{subscription}/resourceGroups/rg-none")


async def test_metrics_of_the_sdk_wait_for_what_pauses_everything(world: World, subscription: str) -> None:
    """Azure refused a read of the HTTP client: the SDK asks nothing before its time."""
    body = {"error": {"code": "SubscriptionRequestsThrottled", "message": "too many"}}
    world.fault(system=SYSTEM, path="rg-none", mode="status", status=429, headers={"Retry-After": "300"}, body=body)
    since = world.position()
    with pytest.raises(TransientIntegrationError):
        await resources.read_tags(f"/subscriptions/{subscription}/resourceGroups/rg-none")
    with pytest.raises(TransientIntegrationError, match="pause"):
        await _read(subscription)
    assert reads(world, since, subscription) == [429]


@pytest.mark.usefixtures("world")
async def test_metrics_of_the_sdk_are_counted(subscription: str) -> None:
    """What they take is missing from the bucket that all share."""
    for _ in range(3):
        with pytest.raises(PermanentIntegrationError):
            await _read(subscription)  # there is no such vault: a call all the same
    rows = [row async for row in _table.query("kind eq 'calls'") if subscription in f"{row.partition}{row.key}"]
    assert [row.document["level"] < LIMITS["reads"].capacity for row in rows] == [True]
