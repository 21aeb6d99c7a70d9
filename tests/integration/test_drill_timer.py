"""The timer of the drills: one for each due date, few at once, whatever the timer does."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shared.backup_coverage import due_on
from shared.backup_rules import BackupRule, backup_rule
from shared.errors import RequestRejectedError
from shared.models.backups import DataKind, DrillRecord
from shared.models.operations import RUNNING_STATES, AskedOperation, OperationRecord, OperationState
from shared.models.records import RequestRecord
from shared.register import drills, operations
from shared.register.audit import Entry
from tests.integration.day2 import active
from tests.integration.drilled import Vault
from tests.integration.test_alert_responses import database
from tests.integration.world import DurableClient, World
from triggers import timer_drills
from triggers._operation_intake import accept
from triggers.timer_drills import ask_for_drills

RULE = BackupRule(retention_days=7, drill_days=60, rto_minutes=120, rpo_minutes=15)
MANY = 10**6


@pytest.fixture(autouse=True)
def demanded(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Drills are demanded of dev, which costs no approvals and quotas."""
    world.reset("resource_graph")
    world.seed("resource_graph", {"settings/limit": {"calls": 1000, "seconds": 1.0}})
    monkeypatch.setattr(timer_drills, "backup_rule", lambda stage: RULE if stage == "dev" else backup_rule(stage))


async def stage(world: World, *environments: str) -> tuple[RequestRecord, str]:
    """An application with a database server in dev."""
    record = await active(world, environments=[*environments] or ["dev"])
    return record, database(world, record)


async def asked(record: RequestRecord) -> list[OperationRecord]:
    found = await operations.of_application(record.application)
    return [item for item in found if item.operation == "drill-restore"]


async def tick(today: date, parallel: int = MANY) -> int:
    client: Any = DurableClient()
    return await ask_for_drills(client, today, parallel)


async def end(operation: OperationRecord) -> None:
    entry = Entry(f"{operation.id}:end", operation.created_at, "test", "end", operation.id, "test")
    change = {"state": OperationState.PARKED}
    await operations.transition(
        operation.application,
        operation.id,
        lambda old: old.model_copy(update=change),
        entry,
        expect=[OperationState.RECEIVED],
    )


async def passed(operation: OperationRecord, resource: str, on: date) -> None:
    moment = f"{on}T02:00:00+00:00"
    row = DrillRecord(
        application=operation.application,
        environment="dev",
        operation=operation.id,
        resource=resource,
        kind=DataKind.DATABASE,
        place="/x/rg",
        begun_at=moment,
        ended_at=moment,
        passed=True,
    )
    await drills.write(row, lambda old: old)


async def drills_that_run() -> int:
    """Those of other tests: they take room too."""
    running = [item async for item in operations.in_states(sorted(RUNNING_STATES))]
    return sum(item.operation == "drill-restore" for item in running)


async def test_one_drill_for_each_due_date(world: World) -> None:
    record, server = await stage(world, "dev", "qa")
    made = datetime.fromisoformat(record.created_at).date()
    first = due_on((record.application, "dev"), [server], [], RULE, made)
    assert first
    await tick(first - timedelta(days=1))
    assert await asked(record) == []
    for late in (0, 0, 2):
        await tick(first + timedelta(days=late))
    [drill] = await asked(record)
    assert (drill.environment, drill.requester, drill.occasion) == ("dev", "appstore", "timer")
    await end(drill)
    await tick(first + timedelta(days=3))
    assert len(await asked(record)) == 1
    await tick(first + timedelta(days=8))
    again = await asked(record)
    assert len(again) == 2
    on = first + timedelta(days=8)
    await passed(again[0], server, on)
    await end(next(item for item in again if item.id != drill.id))
    await tick(on + timedelta(days=1))
    assert len(await asked(record)) == 2
    await tick(on + timedelta(days=60))
    assert len(await asked(record)) == 3


async def test_only_as_many_as_have_room_and_the_rest_later(world: World) -> None:
    records = [(await stage(world))[0] for _ in range(4)]
    late = datetime.now(UTC).date() + timedelta(days=7)
    others = await drills_that_run()
    assert await tick(late, others + 2) == 2
    assert await tick(late, others + 2) == 0
    assert await tick(late, 0) == 0
    await tick(late)
    assert [len(await asked(record)) for record in records] == [1, 1, 1, 1]


async def test_one_that_is_refused_keeps_no_other_from_its_drill(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    late = datetime.now(UTC).date() + timedelta(days=7)
    await tick(late)  # what other tests left is asked for
    records = sorted([(await stage(world))[0] for _ in range(3)], key=lambda item: item.application)

    async def refusing(client: Any, wanted: AskedOperation) -> Any:
        if wanted.application == records[0].application:
            raise RequestRejectedError("unknown-application", "refused")
        return await accept(client, wanted)

    monkeypatch.setattr(timer_drills, "accept", refusing)
    others = await drills_that_run()
    assert await tick(late, others + 1) == 1
    assert [len(await asked(record)) for record in records] == [0, 1, 0]


async def test_where_there_is_nothing_to_drill_nobody_asks(world: World) -> None:
    record = await active(world, environments=["dev"])
    late = datetime.now(UTC).date() + timedelta(days=30)
    for week in range(3):
        await tick(late + timedelta(days=7 * week))
    assert await asked(record) == []


async def test_what_comes_to_a_proven_stage_is_drilled_within_a_week(world: World) -> None:
    record, server = await stage(world)
    on = datetime.now(UTC).date() + timedelta(days=30)
    await tick(on)
    [first] = await asked(record)
    await passed(first, server, on)
    await end(first)
    await tick(on + timedelta(days=1))
    assert len(await asked(record)) == 1
    Vault(world, record)
    for late in (8, 9):
        await tick(on + timedelta(days=late))
    assert len(await asked(record)) == 2


async def test_a_kind_that_no_rule_names_is_not_drilled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = RULE.model_copy(update={"drilled": [DataKind.DATABASE]})
    monkeypatch.setattr(timer_drills, "backup_rule", lambda stage: rule if stage == "dev" else backup_rule(stage))
    record = await active(world, environments=["dev"])
    Vault(world, record)
    await tick(datetime.now(UTC).date() + timedelta(days=30))
    assert await asked(record) == []
