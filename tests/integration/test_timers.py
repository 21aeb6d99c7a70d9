"""Every timer that makes something begin: at once, killed, late or twice, each thing begins once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from azure.data.tables.aio import TableClient

from shared import tagging
from shared.backup_rules import BackupRule
from shared.clients import resources
from shared.models.operations import EndOperation, OperationState
from shared.models.records import RequestRecord
from shared.models.runs import Run
from shared.register import applications, drift_proposals, intents, operations, orphans, requests
from shared.register.audit import Entry
from tests.integration.day2 import WorkerDiedError, active, ask
from tests.integration.detections import size
from tests.integration.rotated_secrets import StorageSecret
from tests.integration.stages import orphan_of
from tests.integration.test_alert_responses import database
from tests.integration.test_clean_up import disk
from tests.integration.test_drift_proposals import Case
from tests.integration.test_off_hours import scheduled
from tests.integration.world import World
from triggers import _operation_sweep, timer_drills
from triggers._drift_sweep import sweep_drift_proposals
from triggers._expiry import look_after_all
from triggers._operation_sweep import sweep_operations
from triggers.timer_clean_up import ask_for_clean_up
from triggers.timer_compliance import ask_for_remediation
from triggers.timer_drift import start_due
from triggers.timer_drift_proposals import look_at
from triggers.timer_drills import ask_for_drills
from triggers.timer_schedules import ask_for_switches
from triggers.timer_secrets import ask_for_rotation

MANY, APPLICATIONS = 10**6, 2
TODAY = datetime.now(UTC).date()
RULE = BackupRule(retention_days=7, drill_days=60, rto_minutes=120, rpo_minutes=15)


@dataclass
class Deaths:
    """The worker dies after so many of its effects: a write of the register, or an orchestration that it started."""

    after: int = 0
    effects: int = 0

    def count(self) -> None:
        self.effects += 1
        if self.effects == self.after:
            raise WorkerDiedError(f"effect {self.after}")


@dataclass
class Instances:
    """What Durable Functions knows: whoever starts an orchestration, all see it, and none is started twice."""

    deaths: Deaths
    started: Counter[str] = field(default_factory=Counter)

    async def get_status(self, instance: str) -> Any:
        await asyncio.sleep(0)
        return SimpleNamespace(runtime_status=SimpleNamespace(value="Running")) if self.started[instance] else None

    async def start_new(self, _name: str, instance: str, _payload: dict[str, Any]) -> str:
        await asyncio.sleep(0)
        if self.started[instance]:
            raise Exception(f"{instance} exists already")  # noqa: TRY002 - as the SDK does
        self.started[instance] += 1
        self.deaths.count()
        return instance

    async def raise_event(self, _instance: str, _name: str, _data: dict[str, Any]) -> None:
        return None


@dataclass(frozen=True)
class Timer:
    """A timer.

    Attributes:
        set: gives it something to do for one application.
        tick: what it does at a moment.
        begun: the operations that begin for each application; for ``expiry`` the messages.
        first: its moment.
        later: moments at which it comes late, or once more, for the same occasion.
    """

    name: str
    set: Callable[[World, RequestRecord], Awaitable[None]]
    tick: Callable[[Any, datetime], Awaitable[Any]]
    begun: tuple[str, ...]
    first: datetime
    later: tuple[timedelta, ...] = (timedelta(0), timedelta(hours=9))

    def __str__(self) -> str:
        return self.name


async def _nothing(_world: World, _record: RequestRecord) -> None:
    return


async def _data(world: World, record: RequestRecord) -> None:
    world.reset("resource_graph")
    world.seed("resource_graph", {"settings/limit": {"calls": 1000, "seconds": 1.0}})
    database(world, record)


async def _switches(world: World, record: RequestRecord) -> None:
    scheduled(world, record)


async def _ends_soon(world: World, record: RequestRecord) -> None:
    StorageSecret(world, record)


async def _unused(world: World, record: RequestRecord) -> None:
    path = disk(world, record)
    row = orphan_of(record, path, "Microsoft.Compute/disks")
    await orphans.change(record.application, path, lambda _: row)


async def _merged(world: World, record: RequestRecord) -> None:
    world.github("/orgs/contoso/repos", "POST", {"name": record.application, "auto_init": True})
    case = Case(world, record)
    case.merge((await case.told(size())).number or 0)
    [detection] = await operations.of_application(record.application)
    run = Run(request_id=detection.id, application=record.application, branch="operation")
    await world.value("end_operation", EndOperation(run=run, state=OperationState.SUCCEEDED))


async def _ending(_world: World, record: RequestRecord) -> None:
    end = str(TODAY + timedelta(days=7))
    entry = Entry(f"{record.id}:end", record.created_at, "test", "end", record.id, "test")
    change: dict[str, Any] = {"expires_on": end}
    await applications.change(record.application, lambda old: (old.model_copy(update=change), entry))


async def _recorded(_world: World, record: RequestRecord) -> None:
    await ask(record, "back-up")


async def _propose(client: Any, now: datetime) -> None:
    await look_at(now)
    await sweep_drift_proposals(client)


def at(hour: int, minute: int, days: int = 0) -> datetime:
    return datetime.combine(TODAY + timedelta(days=days), time(hour, minute), UTC)


TIMERS = [
    Timer("clean-up", _unused, ask_for_clean_up, ("clean-up", "mark-orphans"), at(5, 10)),
    Timer("compliance", _nothing, ask_for_remediation, ("remediate-compliance",), at(4, 40)),
    Timer("drift", _nothing, lambda client, now: start_due(client, str(now.date()), MANY), ("detect-drift",), at(1, 0)),
    Timer("drift-proposals", _merged, _propose, ("detect-drift",), at(1, 0)),
    Timer(
        "drills",
        _data,
        lambda client, now: ask_for_drills(client, now.date(), MANY),
        ("drill-restore",),
        at(2, 0, 7),
    ),
    Timer("expiry", _ending, lambda _, now: look_after_all(now.date()), ("expires_soon",), at(6, 30)),
    Timer("schedules", _switches, ask_for_switches, ("apply-schedule",), datetime(2026, 11, 26, 19, tzinfo=UTC)),
    Timer("secrets", _ends_soon, ask_for_rotation, ("rotate-secret",), at(4, 10)),
    Timer("sweep", _recorded, lambda client, _: sweep_operations(client), ("back-up",), at(0, 0)),
]
# Each of these is proven by itself: what it does is no operation, or may come more than once.
ELSEWHERE = {
    "anchor": "test_audit.py",
    "domain_events": "test_domain_events.py",
    "histories": "test_histories.py",
}


def test_no_timer_is_forgotten() -> None:
    there = {path.stem.removeprefix("timer_") for path in Path(timer_drills.__file__).parent.glob("timer_*.py")}
    assert there == {timer.name.replace("-", "_") for timer in TIMERS} | set(ELSEWHERE)


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The applications that the timers see; nothing of other tests, and nothing is too young to be looked after."""
    names: list[str] = []

    def only(place: str, of: Callable[[Any], str]) -> None:
        every = getattr(*_place(place))

        async def some(*given: Any) -> AsyncIterator[Any]:
            async for row in every(*given):
                if of(row) in names:
                    yield row

        monkeypatch.setattr(*_place(place), some)

    def _place(place: str) -> tuple[Any, str]:
        module, _, name = place.rpartition(".")
        known = {"requests": requests, "operations": operations, "drift_proposals": drift_proposals}
        return (known | {"resources": resources})[module], name

    only("requests.applications", lambda row: row.name)
    only("operations.in_states", lambda row: row.application)
    only("drift_proposals.in_states", lambda row: row.application)
    only("resources.list_tagged", lambda row: tagging.owner_of(row.tags) or "")
    monkeypatch.setattr(_operation_sweep, "ORPHAN_SECONDS", -1)
    monkeypatch.setattr(timer_drills, "backup_rule", lambda _: RULE)
    return names


async def begin(timer: Timer, world: World, ours: list[str]) -> list[RequestRecord]:
    """Applications for which the timer has something to do."""
    records = [await active(world, environments=["dev"]) for _ in range(APPLICATIONS)]
    ours[:] = [record.application for record in records]
    for record in records:
        await timer.set(world, record)
    return records


async def require(timer: Timer, records: list[RequestRecord], instances: Instances) -> None:
    """Each thing began once, and nothing else."""
    for record in records:
        found = await operations.of_application(record.application)
        begun = [item.operation for item in found for _ in range(instances.started[item.instance_id])]
        told = [str(item.kind) for item in await intents.of_request(record.application, record.id)]
        assert tuple(sorted([*begun, *told])) == timer.begun
    assert set(instances.started.values()) <= {1}


every_timer = pytest.mark.parametrize("timer", TIMERS, ids=str)


@every_timer
async def test_three_ticks_at_once_and_later_ones_begin_each_thing_once(
    world: World, ours: list[str], timer: Timer
) -> None:
    records, instances = await begin(timer, world, ours), Instances(Deaths())
    await asyncio.gather(*(timer.tick(instances, timer.first) for _ in range(3)))
    await require(timer, records, instances)
    for later in timer.later:
        await timer.tick(instances, timer.first + later)
    await require(timer, records, instances)


@every_timer
async def test_a_first_tick_that_comes_late_begins_the_same(world: World, ours: list[str], timer: Timer) -> None:
    records, instances = await begin(timer, world, ours), Instances(Deaths())
    for moment in (timer.later[-1], timer.later[0]):  # and the one that was on time after it
        await timer.tick(instances, timer.first + moment)
    await require(timer, records, instances)


@contextmanager
def dying(deaths: Deaths) -> Any:
    """The worker dies after one of its writes to the register, or of the orchestrations that it starts."""

    def counted(write: Any) -> Any:
        async def commit(table: TableClient, *given: Any, **options: Any) -> Any:
            done = await write(table, *given, **options)
            deaths.count()
            return done

        return commit

    with pytest.MonkeyPatch.context() as patch:
        for name in ("submit_transaction", "create_entity", "update_entity", "upsert_entity"):
            patch.setattr(TableClient, name, counted(getattr(TableClient, name)))
        yield


async def killed(timer: Timer, world: World, ours: list[str], number: int) -> bool:
    """Whether a tick of its own set died after this effect; the next one and the sweep complete what it began."""
    deaths = Deaths(number)
    records, instances = await begin(timer, world, ours), Instances(deaths)
    died = False
    with dying(deaths):
        try:
            await timer.tick(instances, timer.first)
        except WorkerDiedError:
            died = True
        await timer.tick(instances, timer.first + timer.later[-1])
        await sweep_operations(instances)
    await require(timer, records, instances)
    return died


@pytest.mark.parametrize("timer", [timer for timer in TIMERS if timer.name != "drift-proposals"], ids=str)
async def test_killed_after_the_first_of_several_the_next_tick_begins_the_rest(
    world: World, ours: list[str], timer: Timer
) -> None:
    assert await killed(timer, world, ours, 1)


@pytest.mark.long
@pytest.mark.timeout(300)
@every_timer
async def test_killed_after_any_of_its_effects_the_next_tick_begins_the_rest(
    world: World, ours: list[str], timer: Timer
) -> None:
    number = 1
    while await killed(timer, world, ours, number):
        number += 1
    assert number > APPLICATIONS, "nothing was killed"
