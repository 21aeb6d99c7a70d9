"""What a drill restored is taken away again: refused, it stays and says so, and a later timer removes it once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrators._steps import StepFailedError
from orchestrators.remove_drill import remove_drill
from shared.clock import utc_now
from shared.models.controls import KillSwitch
from shared.models.operations import OperationInput, OperationRecord, OperationState
from shared.models.records import RequestRecord
from shared.register import controls, drills, operations
from shared.register.audit import Entry
from tests.integration.day2 import STORAGE, Conductor, WorkerDiedError, active, ask, perform
from tests.integration.test_backup_coverage import report
from tests.integration.test_backups import groups, server, settle
from tests.integration.test_clean_up import lift, shield
from tests.integration.wire import dying_after_each, dying_after_rows, watched
from tests.integration.world import SUBSCRIPTION, DurableClient, World
from triggers._drill_sweep import remove_what_drills_left

S = OperationState
LATER = timedelta(hours=3)


@pytest.fixture
async def application(world: World) -> RequestRecord:
    record = await active(world, environments=["dev"])
    server(world, record, "orders")
    return record


class Client(DurableClient):
    """Remembers what was started, as the host does."""

    def __init__(self) -> None:
        self.started: dict[str, Any] = {}

    async def start_new(self, name: str, instance: str, payload: dict[str, Any]) -> str:
        assert name == "remove_drill"
        self.started[instance] = payload
        return instance


async def sweep(record: RequestRecord, after: timedelta = LATER) -> list[dict[str, Any]]:
    """Let the timer come so much later; returns what it starts for this application."""
    client: Any = Client()
    await remove_what_drills_left(client, datetime.now(UTC) + after)
    return [payload for payload in client.started.values() if payload["application"] == record.application]


async def remove(world: World, record: RequestRecord, payload: dict[str, Any], **how: Any) -> None:
    conductor: Any = Conductor(payload, on_timer=lambda: settle(world, record), **how)
    await conductor.perform(remove_drill(conductor, OperationInput.model_validate(payload)))


@asynccontextmanager
async def kept_by(kind: str, world: World, record: RequestRecord, group: str) -> AsyncIterator[None]:
    if kind == "kill-switch":
        by: dict[str, Any] = {"reason": "test", "actor": "test", "actor_name": "test"}
        await controls.set_kill_switch(KillSwitch(on=True, at=utc_now(), **by))
        try:
            yield
        finally:
            await controls.set_kill_switch(KillSwitch(on=False, at=utc_now(), **by))
        return
    laid = await shield(kind, world, record, group)
    try:
        yield
    finally:
        await lift(world, laid)


async def until_checked(world: World, record: RequestRecord, asked: OperationRecord) -> list[dict[str, Any]]:
    """Run the drill until its checks are noted and nothing is removed; returns its history."""
    history: list[dict[str, Any]] = []
    for _ in range(20):
        if any(row.ended_at for row in await drills.of_operation(record.application, asked.id)):
            break
        with suppress(WorkerDiedError):
            how: dict[str, Any] = {"on_timer": lambda: settle(world, record), "history": history}
            await perform(asked, dies_after=len(history) + 2, **how)
    return history


def place_of(world: World, record: RequestRecord) -> str:
    [group] = groups(world, record)
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"


async def refused(world: World, record: RequestRecord, kind: str) -> OperationRecord:
    """A drill whose clean-up something keeps back."""
    asked = await ask(record, "drill-restore", environment="dev")
    history = await until_checked(world, record, asked)
    async with kept_by(kind, world, record, place_of(world, record)):
        return await perform(asked, history=history, on_timer=lambda: settle(world, record))


REASONS = {"lock": "locked", "kill-switch": "kill switch", "hold": "legal hold"}


@pytest.mark.parametrize(
    "kind", ["lock", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("kill-switch", "hold"))]
)
async def test_refused_it_stays_says_so_and_a_later_timer_removes_it_once(
    world: World, application: RequestRecord, kind: str
) -> None:
    done = await refused(world, application, kind)
    assert (done.state, done.problem and done.problem.code) == (S.PARTIAL, "drill-kept")
    assert done.problem
    assert REASONS[kind] in done.problem.detail
    assert done.facts["passed"] is True, "what was measured is not lost"
    [row] = await drills.of_operation(application.application, done.id)
    assert (row.passed, row.removed_at) == (True, None)
    assert REASONS[kind] in row.kept
    assert "is still there" in str((await report(application))["violations"])
    assert await sweep(application, timedelta(minutes=5)) == [], "its own clean-up may still be at work"
    for _ in range(2):
        [payload] = await sweep(application)
    before = world.position()
    await remove(world, application, payload, twice=True)
    assert groups(world, application) == []
    assert world.committed(before, "DELETE", rf"{done.id}\?") == 1
    [row] = await drills.of_operation(application.application, done.id)
    assert row.removed_at
    assert row.kept == ""
    assert await sweep(application) == []
    assert "is still there" not in str((await report(application))["violations"])


async def test_a_freeze_does_not_keep_it(world: World, application: RequestRecord) -> None:
    done = await refused(world, application, "freeze")
    assert done.state is S.SUCCEEDED, done.problem
    assert groups(world, application) == []


@pytest.mark.long
async def test_refused_again_it_stays_for_the_next_timer(world: World, application: RequestRecord) -> None:
    done = await refused(world, application, "lock")
    [payload] = await sweep(application)
    async with kept_by("lock", world, application, place_of(world, application)):
        with pytest.raises(StepFailedError, match="locked"):
            await remove(world, application, payload)
    [again] = await sweep(application, timedelta(hours=5))
    await remove(world, application, again)
    assert groups(world, application) == []
    assert (await operations.get(application.application, done.id)).state is S.PARTIAL


async def test_what_is_not_the_drills_keeps_the_group(world: World, application: RequestRecord) -> None:
    asked = await ask(application, "drill-restore", environment="dev")
    history = await until_checked(world, application, asked)
    path = f"{place_of(world, application)}/providers/Microsoft.Storage/storageAccounts/st{asked.id[-10:]}x"
    body = {"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    world.azure(path, STORAGE, "PUT", body)
    done = await perform(asked, history=history, on_timer=lambda: settle(world, application))
    assert done.problem
    assert path.rpartition("/")[2] in done.problem.detail
    assert world.azure(path, STORAGE)
    world.azure(path, STORAGE, "DELETE")
    while world.azure(path, STORAGE):
        continue
    [payload] = await sweep(application)
    await remove(world, application, payload)
    assert groups(world, application) == []


@pytest.mark.parametrize("death", ["call", pytest.param("row", marks=pytest.mark.long)])
async def test_killed_between_the_removal_and_its_row_it_is_removed_once(
    world: World, application: RequestRecord, death: str
) -> None:
    done = await refused(world, application, "lock")
    [payload] = await sweep(application)
    history: list[dict[str, Any]] = []
    deaths, before = 0, world.position()
    with watched(after=dying_after_each()) if death == "call" else dying_after_rows(1):
        while True:
            try:
                await remove(world, application, payload, history=history)
            except WorkerDiedError:
                deaths += 1
            else:
                break
    assert deaths
    assert groups(world, application) == []
    assert world.committed(before, "DELETE", rf"{done.id}\?") == 1
    [row] = await drills.of_operation(application.application, done.id)
    assert row.removed_at


async def test_a_drill_that_died_before_its_checks_is_known(world: World, application: RequestRecord) -> None:
    """Its orchestration was ended by hand: the sweep parks the operation, and the row from its beginning remains."""
    asked = await ask(application, "drill-restore", environment="dev")
    history: list[dict[str, Any]] = []
    while not groups(world, application) and len(history) < 20:
        with suppress(WorkerDiedError):
            await perform(asked, dies_after=len(history) + 2, history=history)
    assert await sweep(application) == [], "the operation is at work"
    assert (await operations.get(asked.application, asked.id)).state is S.ACTING
    late = OperationInput(request_id=asked.id, application=asked.application)
    await remove(world, application, dict(late.document()))
    assert groups(world, application), "a removal that came late takes nothing from a drill that is at work again"
    [row] = await drills.of_operation(application.application, asked.id)
    assert (row.ended_at, row.removed_at, row.passed) == (None, None, None)
    entry = Entry(f"{asked.id}:end", asked.created_at, "test", "end", asked.id, "test")
    change = {"state": S.PARKED}
    await operations.transition(
        asked.application, asked.id, lambda old: old.model_copy(update=change), entry, expect=[S.ACTING]
    )
    [payload] = await sweep(application)
    await remove(world, application, payload)
    assert groups(world, application) == []


async def test_operations_that_began_before_end_as_they_did(world: World, application: RequestRecord) -> None:
    asked = await ask(application, "drill-restore", environment="dev")
    old = asked.model_copy(update={"flow_version": 2})
    history = await until_checked(world, application, old)
    async with kept_by("lock", world, application, place_of(world, application)):
        done = await perform(old, history=history, on_timer=lambda: settle(world, application))
    assert (done.state, done.problem and done.problem.code) == (S.PARTIAL, "guard-refused")
    assert await sweep(application)
