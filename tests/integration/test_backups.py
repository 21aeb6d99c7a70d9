"""Backups, restores and drills: proven, measured, and nothing left of a drill."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.models.day2_backups import DrillEnd
from shared.models.operations import OperationRecord, OperationState
from shared.models.records import RequestRecord
from shared.models.runs import Run
from shared.register import drills
from tests.integration.day2 import GROUPS, VAULTS, WorkerDiedError, active, ask, group_of, operate, perform
from tests.integration.test_alert_responses import POSTGRES, database
from tests.integration.world import SUBSCRIPTION, Document, World

S = OperationState


@pytest.fixture
async def application(world: World) -> RequestRecord:
    return await active(world)


def server(world: World, record: RequestRecord, *databases: str) -> str:
    path = database(world, record)
    for name in databases:
        world.azure(f"{path}/databases/{name}", POSTGRES, "PUT", {"properties": {"charset": "UTF8"}})
    return path


def groups(world: World, record: RequestRecord) -> list[str]:
    """Names of the groups that operations made for the application."""
    found = world.azure(f"/subscriptions/{SUBSCRIPTION}/resourcegroups", GROUPS)["value"]
    return [group["name"] for group in found if group["name"].startswith(f"rg-{record.application}-dev-op-")]


def settle(world: World, record: RequestRecord) -> None:
    """Wait as a timer does: until no group of an operation is being deleted."""
    deadline = time.monotonic() + 60
    while any(
        group["properties"]["provisioningState"] == "Deleting"
        for group in world.azure(f"/subscriptions/{SUBSCRIPTION}/resourcegroups", GROUPS)["value"]
        if record.application in group["name"]
    ):
        assert time.monotonic() < deadline, f"a group of {record.application} is still being deleted"
    for _ in range(20):  # a purge takes a moment, and cannot be looked at
        if not deleted_vaults(world, record):
            break
        time.sleep(0.05)


def deleted_vaults(world: World, record: RequestRecord) -> list[Document]:
    """What is left of deleted vaults of the application and can be purged."""
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KeyVault/deletedVaults"
    found: list[Document] = [item["properties"] for item in world.azure(path, VAULTS)["value"]]
    ours = [item for item in found if (item["tags"] or {}).get("application") == record.application]
    return [item for item in ours if not item["purgeProtectionEnabled"]]


async def drill(world: World, record: RequestRecord) -> OperationRecord:
    asked = await ask(record, "drill-restore", environment="dev")
    return await perform(asked, on_timer=lambda: settle(world, record))


async def test_a_backup_is_taken_once(world: World, application: RequestRecord) -> None:
    path = server(world, application, "orders")
    asked = await ask(application, "back-up")
    done = await perform(asked, twice=True)
    assert done.state is S.SUCCEEDED, done.problem
    (backup,) = world.azure(f"{path}/backups", POSTGRES)["value"]
    assert backup["name"] == asked.id


async def test_a_drill_restores_checks_measures_and_leaves_nothing(world: World, application: RequestRecord) -> None:
    path = server(world, application, "orders", "ledger")
    done = await drill(world, application)
    assert done.state is S.SUCCEEDED, done.problem
    assert done.facts["passed"] is True
    assert {check["name"].partition(": ")[2] for check in done.facts["checks"]} == {
        "ready",
        "version",
        "databases",
        "disk",
    }
    assert done.facts["rpoSeconds"] >= 300
    assert done.facts["rtoSeconds"] >= 0
    assert groups(world, application) == []
    (noted,) = await drills.of_operation(application.application, done.id)
    assert noted.passed
    assert (noted.resource, noted.environment) == (path, "dev")
    assert noted.rpo_seconds == done.facts["rpoSeconds"]
    assert noted.rto_seconds is not None
    assert 0 <= noted.rto_seconds <= 60, "how long this server took"
    measured = {name: done.facts[name] for name in ("checks", "rtoSeconds", "rpoSeconds")}
    times = {"begunAt": done.created_at, "endedAt": noted.ended_at}
    run = Run(request_id=done.id, application=done.application, branch="operation")
    await world.value("note_drill", DrillEnd.model_validate({"run": run, **times, **measured}))
    assert await drills.of_operation(application.application, done.id) == [noted], "noted twice it is the same"
    assert noted.ended_at
    assert noted.removed_at


async def test_a_backup_that_lacks_a_database_fails_the_drill(world: World, application: RequestRecord) -> None:
    path = server(world, application, "orders", "ledger")
    world.seed("arm", {f"damaged/{path.lower()}": ["ledger"]})
    done = await drill(world, application)
    assert (done.state, done.problem and done.problem.code) == (S.PARTIAL, "drill-failed")
    assert "ledger" in str([check for check in done.facts["checks"] if not check["passed"]])
    assert groups(world, application) == []
    (noted,) = await drills.of_operation(application.application, done.id)
    assert (noted.passed, [check.passed for check in noted.checks].count(False)) == (False, 1)


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[pytest.mark.long] if number % 6 else []) for number in range(1, 8)]
)
async def test_killed_after_any_activity_nothing_of_a_drill_is_left(
    world: World, application: RequestRecord, number: int
) -> None:
    server(world, application, "orders")
    asked = await ask(application, "drill-restore", environment="dev")
    how: dict[str, Any] = {"on_timer": lambda: settle(world, application), "history": []}
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=number, **how)
    done = await perform(asked, **how)
    assert done.state is S.SUCCEEDED, done.problem
    assert groups(world, application) == []
    assert [one.passed for one in await drills.of_operation(application.application, done.id)] == [True]


@pytest.mark.parametrize(
    "how",
    ["status_after", *(pytest.param(how, marks=pytest.mark.long) for how in ("status", "drop_before", "drop_after"))],
)
async def test_lost_answers_make_one_server(world: World, application: RequestRecord, how: str) -> None:
    server(world, application, "orders")
    world.fault(system="arm", method="PUT", path="-op-.*flexibleServers", mode=how, status=500)
    world.fault(system="arm", method="DELETE", path="-op-", mode=how, status=500)
    done = await drill(world, application)
    assert done.state is S.SUCCEEDED, done.problem
    assert groups(world, application) == []


async def test_a_server_that_cannot_be_restored_fails_truthfully_and_leaves_nothing(
    world: World, application: RequestRecord
) -> None:
    server(world, application, "orders")
    refused = {"error": {"code": "SkuNotAvailable", "message": "no capacity"}}
    world.fault(
        system="arm", method="PUT", path="-op-.*flexibleServers", mode="status", status=400, body=refused, times=9
    )
    done = await drill(world, application)
    assert done.state is S.PARKED
    assert done.problem
    assert "SkuNotAvailable" in done.problem.detail
    assert groups(world, application) == []
    (noted,) = await drills.of_operation(application.application, done.id)
    assert (noted.passed, noted.rto_seconds) == (False, None)
    assert "SkuNotAvailable" in noted.checks[0].detail


async def test_a_restore_stays_for_the_team_and_what_runs_is_untouched(
    world: World, application: RequestRecord
) -> None:
    path = server(world, application, "orders")
    moment = (datetime.now(UTC) - timedelta(minutes=7)).isoformat()
    before = world.position()
    done = await operate(application, "restore", environment="dev", parameters={"pointInTime": moment})
    assert done.state is S.SUCCEEDED, done.problem
    (group,) = groups(world, application)
    place = f"{group_of(application).rpartition('/')[0]}/{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers"
    assert len(world.azure(place, POSTGRES)["value"]) == 1
    assert not [call for call in world.calls(before, "arm") if call["mutating"] and path.lower() in call["url"].lower()]


async def test_nothing_before_the_retention_is_promised(world: World, application: RequestRecord) -> None:
    server(world, application, "orders")
    done = await operate(application, "restore", environment="dev", parameters={"pointInTime": "2020-01-01T00:00:00Z"})
    assert done.state is S.PARTIAL
    assert done.problem
    assert "nothing before" in done.problem.detail
    assert groups(world, application) == []
