"""What a schedule says is switched: once, in its order, and only where it may be."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.models.operations import OperationState
from shared.models.records import RequestRecord
from shared.register import operations
from tests.integration.day2 import WorkerDiedError, active, ask, group_of, operate, perform
from tests.integration.test_alert_responses import POSTGRES, database
from tests.integration.world import DurableClient, World
from triggers.timer_schedules import ask_for_switches

S = OperationState
CLUSTERS = "2026-08-01"
EVENING, MORNING = "2026-11-26T20:00:00+01:00", "2026-11-27T08:00:00+01:00"
NIGHT = {"maid_offhours": "off=(M-F,19);on=(M-F,7);tz=cet"}


@pytest.fixture
async def application(world: World) -> RequestRecord:
    return await active(world)


def tag(world: World, path: str, tags: dict[str, str]) -> None:
    body = {"operation": "Merge", "properties": {"tags": tags}}
    world.azure(f"{path}/providers/Microsoft.Resources/tags/default", "2025-04-01", "PATCH", body)


def scheduled(world: World, record: RequestRecord, tags: dict[str, str] | None = None) -> str:
    server = database(world, record)
    tag(world, server, NIGHT if tags is None else tags)
    return server


def state(world: World, server: str) -> str:
    found: str = world.azure(server, POSTGRES)["properties"]["state"]
    return found


async def at(record: RequestRecord, moment: str, **fields: Any) -> Any:
    return await operate(record, "apply-schedule", parameters={"at": moment}, **fields)


async def test_it_stops_in_the_evening_and_runs_in_the_morning(world: World, application: RequestRecord) -> None:
    server = scheduled(world, application)
    assert (await at(application, EVENING)).state is S.SUCCEEDED
    assert state(world, server) == "Stopped"
    before = world.position()
    assert (await at(application, EVENING)).counts.done == 0
    assert world.committed(before, "POST", "flexibleServers") == 0
    assert (await at(application, MORNING)).state is S.SUCCEEDED
    assert state(world, server) == "Ready"


async def test_who_opts_out_or_cannot_be_read_is_left_alone(world: World, application: RequestRecord) -> None:
    server = scheduled(world, application, {"maid_offhours": "off"})
    assert (await at(application, EVENING)).state is S.SUCCEEDED
    tag(world, server, {"maid_offhours": "at night please"})
    unread = await at(application, EVENING)
    assert unread.state is S.PARTIAL
    assert unread.problem
    assert "at night please".replace(" ", "") in unread.problem.detail
    assert state(world, server) == "Ready"


async def test_what_depends_on_another_stops_first_and_starts_last(world: World, application: RequestRecord) -> None:
    server = scheduled(world, application, NIGHT | {"appstore-sequence": "1"})
    cluster = (
        f"{group_of(application)}/providers/Microsoft.ContainerService/managedClusters/aks-{application.application}"
    )
    body = {
        "location": "westeurope",
        "tags": {"application": application.application, "appstore-sequence": "2"} | NIGHT,
        "properties": {"dnsPrefix": "x", "agentPoolProfiles": [{"name": "system", "count": 1}]},
    }
    world.azure(cluster, CLUSTERS, "PUT", body)
    for moment, order in ((EVENING, [cluster, server]), (MORNING, [server, cluster])):
        before = world.position()
        done = await at(application, moment)
        assert done.state is S.SUCCEEDED, done.problem
        calls = [call["url"] for call in world.calls(before, "arm") if call["method"] == "POST"]
        assert [next(path for path in order if path.lower() in url.lower()) for url in calls] == order


async def test_production_is_left_alone(world: World) -> None:
    without = {"database": "none", "publicEndpoint": True}  # a database of prod counts towards the team's quota
    record = await active(world, environments=["dev", "qa", "prod"], criticality="low", parameters=without)
    path = (
        f"{group_of(record, 'prod')}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-prod-{record.application}"
    )
    body = {
        "location": "westeurope",
        "tags": {"application": record.application} | NIGHT,
        "sku": {"name": "Standard_B1ms", "tier": "Burstable"},
        "properties": {"version": "16", "storage": {"storageSizeGB": 32}},
    }
    world.azure(path, POSTGRES, "PUT", body)
    assert (await at(record, EVENING)).counts.done == 0
    assert state(world, path) == "Ready"


async def test_one_that_cannot_be_switched_does_not_keep_the_others(world: World, application: RequestRecord) -> None:
    server = scheduled(world, application)
    lock = f"{server}/providers/Microsoft.Authorization/locks/audit"
    world.azure(lock, "2020-05-01", "PUT", {"properties": {"level": "ReadOnly"}})
    done = await at(application, EVENING)
    assert done.state is S.REFUSED
    assert done.problem
    assert "ScopeLocked" in done.problem.detail
    assert state(world, server) == "Ready"


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[pytest.mark.long] if number % 3 else []) for number in range(1, 7)]
)
async def test_killed_after_any_activity_it_is_switched(world: World, application: RequestRecord, number: int) -> None:
    server = scheduled(world, application)
    asked = await ask(application, "apply-schedule", parameters={"at": EVENING})
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=number)
    assert (await perform(asked, twice=True)).state is S.SUCCEEDED
    assert state(world, server) == "Stopped"


async def test_the_timer_asks_for_each_switch_once(world: World, application: RequestRecord) -> None:
    scheduled(world, application)
    client: Any = DurableClient()
    for minute in (0, 15, 30):
        await ask_for_switches(client, datetime(2026, 11, 26, 19, minute, tzinfo=UTC))
    found = await operations.of_application(application.application)
    assert [record.parameters["at"] for record in found] == ["2026-11-26T18:00:00Z"]
    await ask_for_switches(client, datetime(2026, 11, 27, 6, 0, tzinfo=UTC))
    assert len(await operations.of_application(application.application)) == 2
