"""Drills of storage accounts: blobs as they were at the moment, copied by the service, compared, and nothing left."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities._restores import storage as restores_of_storage
from activities._restores.storage import as_they_were
from shared.canonical import sha256_hex
from shared.clients.blob_versions import BlobVersion
from shared.models.operations import OperationRecord, OperationState
from shared.models.records import RequestRecord
from shared.register import drills
from tests.integration.day2 import STORAGE, WorkerDiedError, active, ask, perform, rows
from tests.integration.drilled import Account, Vault, ago, version
from tests.integration.test_backups import deleted_vaults, groups, server, settle
from tests.integration.world import World

S = OperationState
MOMENT = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
async def application(world: World) -> RequestRecord:
    world.reset("storage")
    return await active(world, environments=["dev"])


@pytest.fixture
def account(world: World, application: RequestRecord) -> Account:
    """A blob that was overwritten a minute ago, one that is new, one in a folder, one that was removed long ago."""
    made = Account(world, application)
    made.hold("orders.json", version(900, "oldest"), version(60, "as it was"), version(1, "overwritten"))
    made.hold("new.json", version(1, "after the moment"))
    made.hold("2026/ärger & co.json", version(30, "kept"))
    made.hold("gone.json", version(600, "gone", removed=ago(300)))
    return made


async def drill(world: World, record: RequestRecord, **how: Any) -> OperationRecord:
    asked = await ask(record, "drill-restore", environment="dev")
    return await perform(asked, on_timer=lambda: settle(world, record), **how)


def failed(done: OperationRecord) -> dict[str, str]:
    return {check["name"].partition(": ")[2]: check["detail"] for check in done.facts["checks"] if not check["passed"]}


async def chosen(done: OperationRecord) -> list[list[Any]]:
    [row] = await rows(done)
    found: list[list[Any]] = row.action.facts["blobs"]
    return found


async def test_blobs_come_back_as_they_were(world: World, application: RequestRecord, account: Account) -> None:
    world.seed("storage", {"settings/page": {"size": 2}})
    before = world.position()
    done = await drill(world, application, twice=True)
    assert done.state is S.SUCCEEDED, done.facts
    assert {(blob[1], blob[3]) for blob in await chosen(done)} == {("orders.json", 9), ("2026/ärger & co.json", 4)}
    checks = {check["name"].partition(": ")[2] for check in done.facts["checks"]}
    assert checks == {"ready", "versions", "blobs", "length", "content", "protection"}
    assert world.committed(before, "PUT", "/drill-restore/data/") == 2
    assert groups(world, application) == []
    [noted] = await drills.of_operation(application.application, done.id)
    assert (noted.passed, noted.resource) == (True, account.id)
    assert noted.rpo_seconds == done.facts["rpoSeconds"] >= 300
    assert noted.removed_at


@pytest.mark.usefixtures("account")
async def test_the_moment_that_is_asked_for_decides(world: World, application: RequestRecord) -> None:
    moment = {"pointInTime": (datetime.now(UTC) - timedelta(hours=7)).isoformat()}
    asked = await ask(application, "drill-restore", environment="dev", parameters=moment)
    done = await perform(asked, on_timer=lambda: settle(world, application))
    assert {(blob[1], blob[3], blob[5]) for blob in await chosen(done)} == {
        ("orders.json", 6, True),
        ("gone.json", 4, False),
    }
    assert failed(done) == {"versions": "data/gone.json"}, "it was there then, and can only be brought back in place"


@pytest.mark.long
async def test_content_that_is_not_what_the_service_says_fails_the_drill(
    world: World, application: RequestRecord, account: Account
) -> None:
    account.hold("orders.json", version(60, "as it was", md5="AAAAAAAAAAAAAAAAAAAAAA=="))
    done = await drill(world, application)
    assert done.state in {S.PARKED, S.PARTIAL}
    assert groups(world, application) == []
    [noted] = await drills.of_operation(application.application, done.id)
    assert noted.passed is False
    assert noted.removed_at


SPOILED = {
    "blobs": None,
    "length": b"short",
    "content": b"as it wa5",
}


@pytest.mark.parametrize(
    "check", ["content", *(pytest.param(check, marks=pytest.mark.long) for check in ("blobs", "length"))]
)
async def test_a_copy_that_is_not_the_same_fails_the_drill_and_goes(
    world: World, application: RequestRecord, account: Account, check: str
) -> None:
    asked = await ask(application, "drill-restore", environment="dev")
    history: list[dict[str, Any]] = []
    how: dict[str, Any] = {"on_timer": lambda: settle(world, application), "history": history}
    for _ in range(20):
        if any(row.state == "done" for row in await rows(asked)):
            break
        with suppress(WorkerDiedError):
            await perform(asked, dies_after=len(history) + 2, **how)
    [row] = await rows(asked)
    account.spoil(row.action.target.rpartition("/")[2], "data/orders.json", SPOILED[check])
    done = await perform(asked, **how)
    assert (done.state, done.problem and done.problem.code) == (S.PARTIAL, "drill-failed")
    assert "data/orders.json" in failed(done)[check]
    assert groups(world, application) == []


async def test_protection_that_is_not_as_demanded_fails_the_drill(
    world: World, application: RequestRecord, account: Account
) -> None:
    service = {"properties": {"isVersioningEnabled": True, "deleteRetentionPolicy": {"enabled": True, "days": 3}}}
    world.azure(f"{account.id}/blobServices/default", STORAGE, "PUT", service)
    done = await drill(world, application)
    assert "7 are demanded" in failed(done)["protection"]


@pytest.mark.long
async def test_a_sample_is_always_the_same_and_no_larger(
    world: World, application: RequestRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restores_of_storage, "_AT_ONCE", 2)
    monkeypatch.setattr(restores_of_storage, "_MOST", 3)
    made = Account(world, application)
    for number in range(12):
        made.hold(f"{number}.json", version(60, str(number)))
    first = await drill(world, application)
    monkeypatch.setattr(restores_of_storage, "_HELD", 4)  # what is in memory at once decides nothing
    second = await drill(world, application)
    assert first.state is S.SUCCEEDED, first.problem
    assert await chosen(first) == await chosen(second)
    names = sorted((f"data/{number}.json" for number in range(12)), key=lambda name: sha256_hex(name.encode()))
    assert {f"{blob[0]}/{blob[1]}" for blob in await chosen(first)} == set(names[:3])


def blob(name: str, minutes: float, removed: float | None = None) -> BlobVersion:
    made = (MOMENT + timedelta(minutes=minutes)).isoformat()
    gone = None if removed is None else MOMENT + timedelta(minutes=removed)
    return BlobVersion(name, made, 1, "", gone, whole=True)


async def test_of_each_blob_the_newest_version_of_then() -> None:
    async def listed() -> Any:
        for one in [
            *(blob("a", -9), blob("a", -1), blob("a", 1)),
            blob("b", 2),
            *(blob("c", -9), blob("c", -5, removed=-2)),
            blob("d", -5, removed=3),
            blob("e", 0),
        ]:
            yield one

    found = {one.name: one.made async for one in as_they_were(listed(), MOMENT)}
    assert found == {"a": blob("a", -1).made, "d": blob("d", -5).made, "e": blob("e", 0).made}


async def test_everything_that_keeps_data_is_drilled_in_one_place(
    world: World, application: RequestRecord, account: Account
) -> None:
    vault = Vault(world, application)
    vault.publish("orders", "a-value")
    database, before = server(world, application, "orders"), world.position()
    done = await drill(world, application)
    assert done.state is S.SUCCEEDED, done.problem
    noted = await drills.of_operation(application.application, done.id)
    assert {row.resource for row in noted} == {database, account.id, vault.id}
    assert all(row.passed and row.removed_at for row in noted)
    assert len({row.place for row in noted}) == 1
    assert world.committed(before, "PUT", rf"resourceGroups/[^/]+-{done.id}\?") == 1
    assert world.committed(before, "DELETE", rf"resourceGroups/[^/]+-{done.id}\?") == 1
    found = await rows(done)
    groups_of = [[call.method for call in row.action.calls if call.target.endswith(done.id)] for row in found]
    assert sorted(groups_of) == [[], ["DELETE"], ["PUT"]]
    assert deleted_vaults(world, application) == []


async def test_what_may_not_be_read_is_named_and_the_others_are_drilled(
    world: World, application: RequestRecord, account: Account
) -> None:
    vault = Vault(world, application)
    server(world, application, "orders")
    world.fault(system="storage", method="GET", path="include=versions", mode="status", status=403, times=9)
    world.fault(system="key_vault", method="GET", path="/secrets", mode="status", status=403, times=9)
    done = await drill(world, application)
    world.heal()
    assert (done.state, done.facts["passed"]) == (S.PARTIAL, True)
    assert done.problem
    assert account.name in done.problem.detail
    assert vault.name in done.problem.detail
    assert len(await drills.of_operation(application.application, done.id)) == 1


async def test_a_source_that_the_service_cannot_reach_is_no_copy(
    world: World, application: RequestRecord, account: Account
) -> None:
    code = {"x-ms-error-code": "CannotVerifyCopySource"}
    path = "/drill-restore/data/orders"
    world.fault(system="storage", method="PUT", path=path, mode="status", status=409, headers=code, times=9)
    done = await drill(world, application)
    world.heal()
    assert done.state is S.PARKED, account.name
    assert done.problem
    assert "CannotVerifyCopySource" in done.problem.detail
    assert groups(world, application) == []
