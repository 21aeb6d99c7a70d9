"""Tags of an application's resources: what is missing is set, what others set stays."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shared.models.operations import ActionState, OperationRecord, OperationState
from shared.models.records import RequestRecord
from shared.tagging import required_tags
from tests.integration.day2 import GROUPS, STORAGE, WorkerDiedError, active, ask, group_of, operate, perform, rows
from tests.integration.world import World

ACCOUNT: dict[str, Any] = {"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}


def account(world: World, record: RequestRecord, name: str, tags: dict[str, str]) -> str:
    """A storage account in the application's group."""
    path = f"{group_of(record)}/providers/Microsoft.Storage/storageAccounts/{name}"
    world.azure(path, STORAGE, "PUT", ACCOUNT | {"tags": tags})
    return path


def many_accounts(
    world: World, record: RequestRecord, count: int, tags: Callable[[int], dict[str, str]] = lambda _: {}
) -> list[str]:
    """So many storage accounts in the application's group, put there at once."""
    places = [
        f"{group_of(record)}/providers/Microsoft.Storage/storageAccounts/stmany{number:04d}" for number in range(count)
    ]
    kind = {"type": "Microsoft.Storage/storageAccounts", "location": "westeurope", "properties": {}}
    found = {
        f"resource{path.lower()}": {"id": path, "name": path.rpartition("/")[2], "tags": tags(number), **kind}
        for number, path in enumerate(places)
    }
    world.seed("arm", found)
    return places


def tags_of(world: World, path: str) -> dict[str, str]:
    found = world.azure(f"{path}/providers/Microsoft.Resources/tags/default", GROUPS)
    tags: dict[str, str] = found["properties"]["tags"]
    return tags


def writes(world: World, since: int) -> int:
    """Tag writes of the product."""
    return world.committed(since, "PATCH", "/tags/default")


@pytest.fixture
async def application(world: World) -> RequestRecord:
    return await active(world)


async def test_what_is_missing_is_set_and_what_others_set_stays(world: World, application: RequestRecord) -> None:
    path = account(world, application, "sttags1", {"legal-hold": "case 7", "Cost-Center": "wrong"})
    done = await operate(application, "reconcile-tags")
    assert done.state is OperationState.SUCCEEDED, done.problem
    tags = tags_of(world, path)
    required = required_tags(application, "dev")
    assert tags["legal-hold"] == "case 7"
    assert tags["Cost-Center"] == required["cost-center"], "the casing of a name stays as it was"
    assert {name.lower(): value for name, value in tags.items()}.items() >= required.items()


async def test_only_to_observe_makes_no_call_and_lists_the_exact_ones(world: World, application: RequestRecord) -> None:
    path = account(world, application, "sttags2", {})
    before = world.position()
    seen = await operate(application, "reconcile-tags", dry_run=True)
    assert seen.state is OperationState.OBSERVED
    assert writes(world, before) == 0
    planned = {call.target: call for row in await rows(seen) for call in row.action.calls}
    call = planned[f"{path}/providers/Microsoft.Resources/tags/default"]
    await operate(application, "reconcile-tags")
    made = [entry for entry in world.calls(before, "arm") if entry["method"] == "PATCH"]
    assert sorted(entry["url"].split("?")[0].removeprefix("https://management.azure.com") for entry in made) == sorted(
        planned
    )
    assert call.body in [entry["body"] for entry in made]


async def test_asked_five_times_it_runs_once(world: World, application: RequestRecord) -> None:
    account(world, application, "sttags3", {})
    found = [await ask(application, "reconcile-tags", business_key="event-1") for _ in range(5)]
    assert len({record.id for record in found}) == 1
    before = world.position()
    await asyncio.gather(*(perform(record) for record in found[:2]))
    await perform(found[2], twice=True)
    assert writes(world, before) <= 2 * 2, "two runs at the same instant may both merge: the same tags"
    settled = world.position()
    await perform(found[3])
    assert writes(world, settled) == 0


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[pytest.mark.long] if number % 3 else []) for number in range(1, 8)]
)
async def test_killed_after_any_activity_it_goes_on(world: World, application: RequestRecord, number: int) -> None:
    path = account(world, application, f"stkill{number}", {})
    asked = await ask(application, "reconcile-tags")
    try:
        await perform(asked, dies_after=number)
    except WorkerDiedError:
        done = await perform(asked)
    else:
        done = await perform(asked)
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert tags_of(world, path)["application"] == application.application


@pytest.mark.parametrize(
    "how",
    ["status_after", *(pytest.param(how, marks=pytest.mark.long) for how in ("status", "drop_before", "drop_after"))],
)
async def test_lost_and_failed_answers_heal(world: World, application: RequestRecord, how: str) -> None:
    path = account(world, application, f"stheal{how.replace('_', '')}", {})
    world.fault(system="arm", method="PATCH", path="tags/default", mode=how, status=500, times=2)
    done = await operate(application, "reconcile-tags")
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert tags_of(world, path)["application"] == application.application


async def test_one_that_is_refused_does_not_keep_the_others(world: World, application: RequestRecord) -> None:
    paths = [account(world, application, f"stmany{number}", {}) for number in range(6)]
    lock = f"{paths[3]}/providers/Microsoft.Authorization/locks/audit"
    world.azure(lock, "2016-09-01", "PUT", {"properties": {"level": "ReadOnly"}})
    done: OperationRecord = await operate(application, "reconcile-tags")
    assert done.state is OperationState.PARTIAL
    assert done.problem
    assert paths[3] in done.problem.detail
    states = {row.action.target: row.state for row in await rows(done)}
    assert states[paths[3]] is ActionState.REFUSED
    assert all(states[path] is ActionState.DONE for path in paths if path != paths[3])
