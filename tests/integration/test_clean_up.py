"""What nothing uses is noticed, announced, removed and brought back, over thirty days of virtual time."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.canonical import canonical_json, sha256_hex
from shared.clean_up_kinds import configuration_of, kind_of
from shared.clients import blobs
from shared.errors import AppStoreError
from shared.models.clean_up import OrphanRecord, TombstoneRecord
from shared.models.controls import Exemption, FreezeRecord, LegalHold, Scope
from shared.models.messages import IntentRecord, MessageKind
from shared.models.operations import ActionState, OperationRecord, OperationState
from shared.models.records import RequestRecord
from shared.register import _table, audit, controls, intents, operations, orphans, tombstones
from tests.integration.day2 import WorkerDiedError, active, ask, group_of, operate, perform, rows
from tests.integration.world import REQUESTER, DurableClient, World, caller
from triggers._http import Call
from triggers.http_tombstones import list_tombstones, restore_tombstone
from triggers.timer_clean_up import ask_for_clean_up

S = OperationState
NETWORK, COMPUTE, LOCKS = "2024-05-01", "2026-03-02", "2020-05-01"
TAG = "appstore-clean-up"
TODAY = datetime.now(UTC).replace(hour=5, minute=10, second=0, microsecond=0)
MARKED, LAST_NOTICE, DUE = 2, 15, 16  # an address: seen on days 0, 1 and 2, then fourteen days of grace

type Document = dict[str, Any]


@pytest.fixture
async def alone(world: World) -> AsyncIterator[World]:
    """A world in which the timer finds this test's orphans only."""
    world.reset("resource_graph")
    world.seed("resource_graph", {"settings/limit": {"calls": 1000, "seconds": 1.0}})
    yield world
    gone = [(item.application, item.resource) async for item in orphans.every()]
    gone += [(item.application, item.resource) async for item in tombstones.every()]
    for application, resource in gone:
        world.azure("/".join(resource.split("/")[:5]), "2025-04-01", "DELETE")
        await orphans.change(application, resource, lambda _: None)
    async for row in _table.query("kind eq 'tombstone'"):
        await _table.commit(row.partition, [_table.Write(row.key, None, etag=row.etag)])


@pytest.fixture
async def application(alone: World) -> RequestRecord:
    return await active(alone, environments=["dev"])


def address(world: World, record: RequestRecord, name: str = "pip", **changes: Any) -> str:
    """A public address that nothing uses."""
    path = f"{group_of(record)}/providers/Microsoft.Network/publicIPAddresses/{name}"
    body: Document = {
        "location": "westeurope",
        "sku": {"name": "Standard", "tier": "Regional"},
        "zones": ["1", "2", "3"],
        "tags": {"application": record.application, "note": "ä"},
        "properties": {"publicIPAllocationMethod": "Static", "idleTimeoutInMinutes": 4, "ipAddress": "20.1.2.3"},
    }
    world.azure(path, NETWORK, "PUT", body | changes)
    return path


def used(world: World, path: str) -> None:
    """Something uses the address."""
    world.azure(path, NETWORK, "PATCH", {"properties": {"ipConfiguration": {"id": "/subscriptions/x"}}})


def unused(world: World, path: str) -> None:
    """Nothing uses it any more; a merge would keep the configuration."""
    found = world.azure(path, NETWORK)
    found["properties"].pop("ipConfiguration", None)
    world.azure(
        path, NETWORK, "PUT", {name: found[name] for name in ("location", "sku", "zones", "tags", "properties")}
    )


def tags_of(world: World, path: str, version: str = NETWORK) -> dict[str, str]:
    tags: dict[str, str] = world.azure(path, version).get("tags") or {}
    return tags


async def day(record: RequestRecord, number: int, **how: Any) -> dict[str, OperationRecord]:
    """One day: the timer, and whatever it asked for of this application; by the name of the operation."""
    client: Any = DurableClient()
    await ask_for_clean_up(client, TODAY + timedelta(days=number))
    return {new.operation: await perform(new, **how) for new in await begun(record)}


async def begun(record: RequestRecord) -> list[OperationRecord]:
    """What was asked for and has not been run, the sweep first."""
    found = [item for item in await operations.of_application(record.application) if item.state is S.RECEIVED]
    return sorted(found, key=lambda item: item.operation != "mark-orphans")


async def days(record: RequestRecord, *numbers: int) -> dict[str, OperationRecord]:
    """Several days, one after the other; what was done on the last."""
    done: dict[str, OperationRecord] = {}
    for number in numbers:
        done = await day(record, number)
    return done


async def orphan(record: RequestRecord, path: str) -> OrphanRecord | None:
    return await orphans.find(record.application, path)


async def told(record: RequestRecord) -> list[IntentRecord]:
    found = await intents.of_request(record.application, record.id)
    return [item for item in found if item.kind is MessageKind.REMOVAL]


async def stones(record: RequestRecord) -> list[TombstoneRecord]:
    return [item async for item in tombstones.of_application(record.application)]


def changes(world: World, since: int, path: str = "/providers/") -> int:
    """The product's calls at Azure Resource Manager that change something."""
    return sum(world.committed(since, method, f"management.azure.com.*{path}") for method in ("PUT", "PATCH", "DELETE"))


async def test_thirty_days_from_the_first_sight_to_the_removal(world: World, application: RequestRecord) -> None:
    path = address(world, application)
    happened: dict[int, list[str]] = {}
    for number in range(31):
        before, messages = world.position(), len(await told(application))
        await day(application, number)
        news = [item.message.title for item in (await told(application))[messages:]]
        calls = [f"{call['method']}" for call in world.calls(before, "arm") if call["method"] != "GET"]
        if news or calls:
            happened[number] = [*calls, *news]
    name = application.application
    assert happened == {
        2: ["PATCH", f"1 resource of {name} will be removed in 14 days at the earliest"],
        9: [f"1 resource of {name} will be removed in 7 days at the earliest"],
        15: [f"1 resource of {name} will be removed tomorrow at the earliest"],
        16: ["DELETE"],
    }
    assert world.azure(path, NETWORK) is None
    [stone] = await stones(application)
    assert (stone.state, stone.resource, stone.loses != "") == ("kept", path, True)
    assert await orphan(application, path) is None
    trail = Counter(entry.action for entry in await audit.of_application(name))
    assert trail["clean-up"] == 1
    assert b"20.1.2.3" not in await blobs.read_document(stone.blob), "what Azure computes is no configuration"


@pytest.mark.long
async def test_the_tag_only_shows_the_row(world: World, application: RequestRecord) -> None:
    path, other = address(world, application), address(world, application, "in-use")
    used(world, other)
    past = {TAG: "Resource does not meet policy: delete@2020/01/01"}
    for target in (path, other):
        body = {"operation": "Merge", "properties": {"tags": past}}
        world.azure(f"{target}/providers/Microsoft.Resources/tags/default", "2025-04-01", "PATCH", body)
    await days(application, 0, 1)
    assert tags_of(world, path)[TAG].endswith("2020/01/01")
    await day(application, MARKED)
    due = (TODAY + timedelta(days=DUE)).date()
    assert tags_of(world, path) == {"application": application.application, "note": "ä"} | {
        TAG: f"Resource does not meet policy: delete@{due:%Y/%m/%d}"
    }
    removal = {"operation": "Delete", "properties": {"tags": {TAG: ""}}}
    world.azure(f"{path}/providers/Microsoft.Resources/tags/default", "2025-04-01", "PATCH", removal)
    await days(application, 3, 4)
    row = await orphan(application, path)
    assert row
    assert (row.due, row.marked_on) == (due, (TODAY + timedelta(days=MARKED)).date()), "the first date stays"
    assert tags_of(world, path)[TAG].endswith(f"{due:%Y/%m/%d}"), "and is shown again"
    await days(application, LAST_NOTICE, DUE)
    assert world.azure(path, NETWORK) is None
    assert world.azure(other, NETWORK) is not None


@pytest.mark.long
async def test_asked_five_times_at_once_each_day_it_happens_once(world: World, application: RequestRecord) -> None:
    path = address(world, application)
    before = world.position()
    for number in (0, 1, MARKED, LAST_NOTICE, DUE):
        client: Any = DurableClient()
        at = TODAY + timedelta(days=number)
        await asyncio.gather(*(ask_for_clean_up(client, at + timedelta(minutes=late)) for late in range(5)))
        for new in await begun(application):
            await asyncio.gather(*(perform(new) for _ in range(2)))
            await perform(new, twice=True)
            await perform(new)
    assert len(await operations.of_application(application.application)) == 6
    assert world.azure(path, NETWORK) is None
    deletions = [call["status"] for call in world.calls(before, "arm") if call["method"] == "DELETE"]
    assert deletions.count(200) == 1, "whoever came second found nothing"
    assert len(await stones(application)) == 1
    assert len(await told(application)) == 2


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[pytest.mark.long] if number % 4 else []) for number in range(1, 9)]
)
@pytest.mark.parametrize("when", [MARKED, DUE])
async def test_killed_after_any_activity_it_goes_on(
    world: World, application: RequestRecord, number: int, when: int
) -> None:
    path = address(world, application)
    await days(application, *(past for past in (0, 1, MARKED, LAST_NOTICE) if past < when))
    before = world.position()
    client: Any = DurableClient()
    await ask_for_clean_up(client, TODAY + timedelta(days=when))
    for new in await begun(application):
        with suppress(WorkerDiedError):
            await perform(new, dies_after=number)
        assert (await perform(new)).state is S.SUCCEEDED
    if when == MARKED:
        row = await orphan(application, path)
        assert row
        assert (row.sightings, row.state, row.told) == (3, "marked", [14])
        assert len(await told(application)) == 1
    else:
        assert [stone.state for stone in await stones(application)] == ["kept"]
        assert world.committed(before, "DELETE", "publicIPAddresses") == 1


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=pytest.mark.long) for how in ("status_after", "drop_after", "drop_before")]
)
async def test_lost_and_failed_answers_heal(world: World, application: RequestRecord, how: str) -> None:
    path = address(world, application)
    world.fault(system="arm", method="PATCH", path="tags/default", mode=how, status=500, times=2)
    world.fault(system="arm", method="DELETE", path="publicIPAddresses", mode=how, status=500, times=2)
    await days(application, 0, 1, MARKED, LAST_NOTICE)
    assert TAG in tags_of(world, path)
    assert (await day(application, DUE))["clean-up"].state is S.SUCCEEDED
    assert world.azure(path, NETWORK) is None
    assert [stone.state for stone in await stones(application)] == ["kept"]


@pytest.mark.long
async def test_what_comes_and_goes_is_never_removed(world: World, application: RequestRecord) -> None:
    path = address(world, application)
    before = world.position()
    for number in range(0, 18, 3):
        await days(application, number, number + 1)
        used(world, path)
        await day(application, number + 2)
        assert await orphan(application, path) is None
        unused(world, path)
    assert changes(world, before) == 0
    assert await told(application) == []


@pytest.mark.long
async def test_what_is_used_again_loses_its_mark(world: World, application: RequestRecord) -> None:
    path = address(world, application)
    await days(application, 0, 1, MARKED)
    used(world, path)
    await day(application, 3)
    assert TAG not in tags_of(world, path)
    assert await orphan(application, path) is None
    unused(world, path)
    await days(application, 4, 5, DUE, DUE + 1)
    row = await orphan(application, path)
    assert row
    assert (row.state, row.due) == ("marked", (TODAY + timedelta(days=DUE + 14)).date())


async def test_what_is_used_again_at_the_last_moment_stays(world: World, application: RequestRecord) -> None:
    """The index of the inventory is late, and the survey was before: the resource itself is asked last."""
    path = address(world, application)
    await days(application, 0, 1, MARKED, LAST_NOTICE)
    client: Any = DurableClient()
    await ask_for_clean_up(client, TODAY + timedelta(days=DUE))
    [_, removal] = await begun(application)
    with suppress(WorkerDiedError):
        await perform(removal, dies_after=3)  # surveyed and judged
    used(world, path)
    before = world.position()
    assert (await perform(removal)).state is S.SUCCEEDED
    assert world.committed(before, "DELETE", ".") == 0
    assert [row.state for row in await rows(removal)] == [ActionState.GONE]


async def test_one_poison_row_keeps_no_other(world: World, application: RequestRecord) -> None:
    paths = [address(world, application, f"pip{number}") for number in range(3)]
    poison = f"{group_of(application)}/providers/Microsoft.Network/publicIPAddresses/poison"
    world.seed("resource_graph", {"row/poison": {"id": poison, "name": ["not", "a", "name"], "type": 7}})
    for number in (0, 1, MARKED):
        done = (await day(application, number))["mark-orphans"]
        assert done.state is S.PARTIAL
        assert done.problem
        assert poison in done.problem.detail
    assert [(await orphan(application, path)) is not None for path in paths] == [True] * 3
    assert all(TAG in tags_of(world, path) for path in paths)


@pytest.mark.long
async def test_one_that_is_in_use_does_not_keep_the_others_and_is_tried_again(
    world: World, application: RequestRecord
) -> None:
    paths = [address(world, application, f"pip{number}") for number in range(3)]
    await days(application, 0, 1, MARKED, LAST_NOTICE)
    refusal = {"error": {"code": "InUse", "message": "PublicIPAddressCannotBeDeleted"}}
    world.fault(system="arm", method="DELETE", path="pip1", mode="status", status=409, body=refusal, times=None)
    done = (await day(application, DUE))["clean-up"]
    assert done.state is S.PARTIAL
    assert done.problem
    assert paths[1] in done.problem.detail
    assert "PublicIPAddressCannotBeDeleted" in done.problem.detail
    assert [world.azure(path, NETWORK) is None for path in paths] == [True, False, True]
    world.heal()
    assert (await day(application, DUE + 1))["clean-up"].state is S.SUCCEEDED
    assert world.azure(paths[1], NETWORK) is None
    assert {stone.state for stone in await stones(application)} == {"kept"}


# -- shields ----------------------------------------------------------------------------------------------------------


async def shield(kind: str, world: World, record: RequestRecord, path: str) -> Any:
    """Lay a shield on the resource; returns how it is taken away."""
    scope, at = Scope(application=record.application), datetime.now(UTC)
    entry = audit.Entry(f"{kind}:{record.id}", at.isoformat(), "test", kind, "control", "test")
    common: Document = {"id": f"{kind}-{record.id}", "scope": scope, "reason": "test", "at": at.isoformat()}
    who: Document = {"actor": "op", "actor_name": "op"}
    later = (at + timedelta(days=1)).isoformat()
    if kind == "lock":
        lock = f"{path}/providers/Microsoft.Authorization/locks/keep"
        world.azure(lock, LOCKS, "PUT", {"properties": {"level": "CanNotDelete"}})
        return lock
    if kind == "hold":
        return await controls.declare(LegalHold(**common, **who), entry)
    if kind == "freeze":
        return await controls.declare(FreezeRecord(**common, **who, begins=at.isoformat(), ends=later), entry)
    owner: Document = {"owner": "o", "owner_name": "o", "approver": "a", "approver_name": "a"}
    return await controls.declare(Exemption(**common, **owner, expires_at=later), entry)


async def lift(world: World, laid: Any) -> None:
    if isinstance(laid, str):
        world.azure(laid, LOCKS, "DELETE")
        return
    now = datetime.now(UTC).isoformat()
    await controls.lift(laid, audit.Entry(f"lift:{laid.id}", now, "test", "lift", "control", "test"))


@pytest.mark.parametrize(
    "kind", ["hold", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("lock", "freeze", "exemption"))]
)
async def test_a_shield_means_no_change_at_all(world: World, application: RequestRecord, kind: str) -> None:
    path = address(world, application)
    laid = await shield(kind, world, application, path)
    before = world.position()
    await days(application, 0, 1, 2, 3, 10)
    assert changes(world, before) == 0
    assert await told(application) == []
    await lift(world, laid)
    await days(application, 11)
    assert TAG in tags_of(world, path)


@pytest.mark.long
@pytest.mark.parametrize(
    "kind", ["hold", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("lock", "freeze", "exemption"))]
)
async def test_a_shield_at_the_last_day_keeps_it_and_then_it_is_announced_again(
    world: World, application: RequestRecord, kind: str
) -> None:
    path = address(world, application)
    await days(application, 0, 1, MARKED)
    laid = await shield(kind, world, application, path)
    before = world.position()
    await days(application, DUE, DUE + 1)
    assert changes(world, before) == 0
    assert world.azure(path, NETWORK) is not None
    await lift(world, laid)
    if kind != "lock":  # who locks it is told all the same, and its notices are over
        await day(application, DUE + 2)
        assert world.azure(path, NETWORK) is not None, "told first"
        assert len(await told(application)) == 2
    await day(application, DUE + 3)
    assert world.azure(path, NETWORK) is None


async def test_production_waits_for_a_person(alone: World) -> None:
    world = alone
    without = {"database": "none", "publicEndpoint": True}
    record = await active(world, environments=["dev", "qa", "prod"], criticality="low", parameters=without)
    path = f"{group_of(record, 'prod')}/providers/Microsoft.Network/routeTables/rt"
    world.azure(path, NETWORK, "PUT", {"location": "westeurope", "properties": {"routes": []}})
    client: Any = DurableClient()
    await days(record, 0, 1, MARKED, LAST_NOTICE)
    await ask_for_clean_up(client, TODAY + timedelta(days=DUE))
    [sweep, removal] = await begun(record)
    await perform(sweep)

    def look() -> bool:
        raise WorkerDiedError  # it waits, and somebody looks

    with suppress(WorkerDiedError):
        await perform(removal, on_wait=look)
    waiting = await operations.get(record.application, removal.id)
    assert waiting.state is S.AWAITING_APPROVAL
    await ask_for_clean_up(client, TODAY + timedelta(days=DUE + 1))
    assert [item.operation for item in await begun(record)] == ["mark-orphans"], "it is not proposed a second time"
    assert world.azure(path, NETWORK) is not None


@pytest.mark.long
async def test_nobody_but_the_timer_can_bring_a_day_nearer(world: World, application: RequestRecord) -> None:
    path = address(world, application)
    await days(application, 0, 1, MARKED)
    far = (TODAY + timedelta(days=60)).isoformat()
    await operate(application, "mark-orphans", parameters={"at": far})
    done = await operate(application, "clean-up", parameters={"at": far})
    assert done.state is S.SUCCEEDED
    assert done.counts.done == 0
    assert world.azure(path, NETWORK) is not None


async def test_only_to_observe_counts_and_changes_nothing(world: World, application: RequestRecord) -> None:
    path = address(world, application)
    await days(application, 0, 1)
    row, before = await orphan(application, path), world.position()
    seen = await operate(application, "mark-orphans", dry_run=True)
    assert seen.state is S.SUCCEEDED, "today it was seen before, and once is not enough"
    assert await orphan(application, path) == row
    await days(application, MARKED, LAST_NOTICE)
    before = world.position()
    asked = await ask(application, "clean-up", dry_run=True, occasion="timer", parameters={"at": _text(DUE)})
    observed = await perform(asked)
    assert observed.state is S.OBSERVED
    [action] = await rows(observed)
    assert [(call.method, call.target) for call in action.action.calls] == [("DELETE", path)]
    assert changes(world, before) == 0


def _text(number: int) -> str:
    return (TODAY + timedelta(days=number)).isoformat()


# -- tombstones -------------------------------------------------------------------------------------------------------


def disk(world: World, record: RequestRecord) -> str:
    path = f"{group_of(record)}/providers/Microsoft.Compute/disks/data"
    body: Document = {
        "location": "westeurope",
        "sku": {"name": "Premium_LRS"},
        "zones": ["1"],
        "tags": {"application": record.application},
        "properties": {
            "diskState": "Unattached",
            "diskSizeGB": 64,
            "creationData": {"createOption": "Empty"},
            "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
            "networkAccessPolicy": "DenyAll",
        },
    }
    world.azure(path, COMPUTE, "PUT", body)
    return path


async def call(handler: Any, who: Any, identifier: str = "", **query: str) -> Any:
    client: Any = DurableClient()
    return await handler(Call(who, {"tombstone": identifier}, query, {}, client, b"", "/api/tombstones"))


@pytest.mark.long
async def test_what_was_removed_comes_back_byte_for_byte(world: World, application: RequestRecord) -> None:
    path = address(world, application)
    kind = kind_of("Microsoft.Network/publicIPAddresses")
    before = canonical_json(configuration_of(world.azure(path, NETWORK), kind))
    await days(application, 0, 1, MARKED, LAST_NOTICE, DUE)
    listed = (await call(list_tombstones, REQUESTER, application=application.application)).document["tombstones"]
    [shown] = listed
    assert shown["resource"] == path
    assert shown["allowedActions"] == ["restore"]
    since = world.position()
    answers = [await call(restore_tombstone, REQUESTER, shown["id"]) for _ in range(5)]
    assert len({answer.document["id"] for answer in answers}) == 1
    [asked] = await begun(application)
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=5)  # after the effect
    assert (await perform(asked, twice=True)).state is S.SUCCEEDED
    assert canonical_json(configuration_of(world.azure(path, NETWORK), kind)) == before
    assert sha256_hex(before) == shown["digest"]
    assert world.committed(since, "PUT", "publicIPAddresses") == 1
    assert [stone.state for stone in await stones(application)] == ["restored"]
    assert TAG not in tags_of(world, path)


@pytest.mark.long
async def test_a_disk_comes_back_with_its_data(world: World, application: RequestRecord) -> None:
    path, kind = disk(world, application), kind_of("Microsoft.Compute/disks")
    before = canonical_json(configuration_of(world.azure(path, COMPUTE), kind))
    since = world.position()
    await days(application, *range(7), 19, 20)
    changed = [f"{item['method']} {item['url'].split('/providers/')[1]}" for item in world.calls(since, "arm")]
    [stone] = await stones(application)
    assert [item.split("?")[0] for item in changed if item[:3] in ("PUT", "DEL")] == [
        f"PUT Microsoft.Compute/snapshots/appstore-{stone.id}",
        "DELETE Microsoft.Compute/disks/data",
    ]
    assert world.azure(stone.snapshot, COMPUTE)["properties"]["creationData"]["sourceResourceId"] == path
    await call(restore_tombstone, REQUESTER, stone.id)
    [asked] = await begun(application)
    assert (await perform(asked)).state is S.SUCCEEDED
    found = world.azure(path, COMPUTE)
    assert canonical_json(configuration_of(found, kind)) == before
    assert found["properties"]["creationData"] == {"createOption": "Copy", "sourceResourceId": stone.snapshot}
    await days(application, 60)
    assert world.azure(stone.snapshot, COMPUTE) is None, "its time is over: it costs nothing any more"
    assert [item.state for item in await stones(application)] == ["forgotten"]


@pytest.mark.long
async def test_something_else_in_its_place_is_left_alone(world: World, application: RequestRecord) -> None:
    path = address(world, application)
    await days(application, 0, 1, MARKED, LAST_NOTICE, DUE)
    [stone] = await stones(application)
    address(world, application, properties={"publicIPAllocationMethod": "Dynamic"})
    await call(restore_tombstone, REQUESTER, stone.id)
    [asked] = await begun(application)
    before = world.position()
    done = await perform(asked)
    assert done.state is S.PARKED
    assert done.problem
    assert stone.id in done.problem.detail
    assert changes(world, before) == 0
    assert world.azure(path, NETWORK)["properties"]["publicIPAllocationMethod"] == "Dynamic"


async def test_without_its_group_it_does_not_come_back_and_that_is_said(
    world: World, application: RequestRecord
) -> None:
    address(world, application)
    await days(application, 0, 1, MARKED, LAST_NOTICE, DUE)
    [stone] = await stones(application)
    world.azure(group_of(application), "2025-04-01", "DELETE")
    while world.azure(group_of(application), "2025-04-01") is not None:
        continue  # it takes a moment
    await call(restore_tombstone, REQUESTER, stone.id)
    [asked] = await begun(application)
    done = await perform(asked)
    assert done.state is S.PARKED
    assert done.problem
    assert "no place for it" in done.problem.detail
    assert [item.state for item in await stones(application)] == ["kept"]


async def test_others_do_not_see_it_and_a_reader_cannot_restore_it(world: World, application: RequestRecord) -> None:
    address(world, application)
    await days(application, 0, 1, MARKED, LAST_NOTICE, DUE)
    [stone] = await stones(application)
    outsider, auditor = caller("outsider", "Requester", teams=("web",)), caller("auditor", "Auditor")
    listed = json.dumps((await call(list_tombstones, outsider)).document)
    assert stone.id not in listed
    with pytest.raises(AppStoreError, match="There is no tombstone"):
        await call(restore_tombstone, outsider, stone.id)
    with pytest.raises(AppStoreError, match="This needs"):
        await call(restore_tombstone, auditor, stone.id)
    assert stone.id in json.dumps((await call(list_tombstones, auditor)).document)
