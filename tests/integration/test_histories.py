"""Histories of orchestrations go after their time; what still needs them stays, and nothing starts a second time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus
from azure.durable_functions.models.PurgeHistoryResult import PurgeHistoryResult

from activities._activity import registered
from shared.canonical import digest
from shared.errors import RequestRejectedError
from shared.instance_ids import child_instance, message_instance, operation_instance, promote_instance
from shared.models.messages import MessageState
from shared.models.operations import AskedOperation, EndOperation, Occasion, OperationRecord, OperationState
from shared.models.promotions import PromotionRecord, PromotionRequest, PromotionState
from shared.models.records import ClaimState, RequestRecord, RequestState
from shared.models.runs import Run
from shared.register import claims, intents, operations, promotions, requests
from shared.register._table import Write, commit, read
from shared.register.audit import Entry
from tests.integration.day2 import active
from tests.integration.world import REQUESTER, World
from triggers import _intake, _operation_intake, _promotion_intake, http_messages, timer_sweep
from triggers._operation_sweep import sweep_operations
from triggers._promotion_sweep import sweep_promotions
from triggers.timer_anchor import remove_what_is_old
from triggers.timer_histories import purge_what_is_old

NOW = datetime.now(UTC)
PAGE = 100


@dataclass
class Histories:
    """The durable client over instances of a task hub; a list ends after its first page, as the SDK's does."""

    instances: dict[str, DurableOrchestrationStatus] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    lists: int = 0
    dies_at: str = ""
    refused: set[str] = field(default_factory=set)
    killed_at: int = -1

    def add(self, instance: str, ended_days: float, state: str = "Completed", *, lasted_days: float = 0.0) -> str:
        ended = NOW - timedelta(days=ended_days)
        self.instances[instance] = DurableOrchestrationStatus(
            name="x",
            instanceId=instance,
            runtimeStatus=state,
            createdTime=(ended - timedelta(days=lasted_days)).isoformat(),
            lastUpdatedTime=ended.isoformat(),
        )
        return instance

    async def get_status(self, instance: str) -> DurableOrchestrationStatus:
        return self.instances.get(instance, DurableOrchestrationStatus())

    async def get_status_by(
        self, created_time_from: datetime, created_time_to: datetime, runtime_status: list[Any]
    ) -> list[DurableOrchestrationStatus]:
        self.lists += 1
        found = [
            status
            for _, status in sorted(self.instances.items())
            if status.runtime_status in runtime_status
            and status.created_time
            and created_time_from <= status.created_time <= created_time_to
        ]
        return found[:PAGE]

    async def purge_instance_history(self, instance: str) -> PurgeHistoryResult:
        if instance == self.dies_at:
            raise Exception("The operation failed with an unexpected status code 500")  # noqa: TRY002 - as the SDK does
        await asyncio.sleep(0)
        if len(self.instances) == self.killed_at:
            raise asyncio.CancelledError
        if instance in self.refused or instance not in self.instances:
            return PurgeHistoryResult(instancesDeleted=0)
        del self.instances[instance]
        return PurgeHistoryResult(instancesDeleted=1)

    async def start_new(self, _name: str, instance: str, _payload: Any) -> str:
        self.started.append(instance)
        self.add(instance, 0, "Running")
        return instance

    async def raise_event(self, _instance: str, _name: str, _data: Any) -> None:
        raise Exception("No instance with this id")  # noqa: TRY002 - as the SDK does


@pytest.mark.usefixtures("world")
async def test_what_ended_long_ago_goes_and_everything_else_stays() -> None:
    hub: Any = Histories()
    kept = {
        hub.add("op-000000000001:operate:1", 29.9),
        hub.add("op-000000000002:operate:1", 400, "Running"),
        hub.add("op-000000000003:operate:1", 40, "Pending"),
        hub.add("op-000000000004:operate:1", 40, "Suspended"),
        hub.add("op-000000000005:operate:1", 10, lasted_days=80),
    }
    for number, state in enumerate(("Completed", "Failed", "Terminated", "Canceled")):
        hub.add(f"req-00000000000{number}:onboard:1", 31 + 30 * number, state)
        hub.add(f"req-00000000000{number}:onboard:1:approve:1", 31 + 30 * number, state)
    assert await purge_what_is_old(hub, NOW) == 8
    assert hub.instances.keys() == kept
    assert await purge_what_is_old(hub, NOW) == 0


@pytest.mark.usefixtures("world")
async def test_in_bounded_batches_and_more_than_a_page() -> None:
    hub: Any = Histories()
    for number in range(250):
        hub.add(f"op-{number:012}:operate:1", 200)
    for number in range(PAGE + 5):
        hub.add(f"a-{number:03}:young", 20, lasted_days=180)  # a page of what has to stay, created at the same time
        hub.add(f"b-{number:03}:operate:1", 31 + number % 60)
    assert await purge_what_is_old(hub, NOW, most=7) == 7
    purged = [await purge_what_is_old(hub, NOW) for _ in range(3)]
    assert sum(purged[:2]) + 7 >= PAGE, "a page that has to stay hides nothing in other windows"
    assert {name for name in hub.instances if name.startswith("b-")} == set()
    assert len([name for name in hub.instances if name.endswith(":young")]) == PAGE + 5
    assert hub.lists < 400


@pytest.mark.usefixtures("world")
async def test_one_that_cannot_be_purged_keeps_no_other_and_is_tried_again() -> None:
    hub: Any = Histories()
    for number in range(25):
        hub.add(f"op-{number:012}:operate:1", 45)
    hub.dies_at, hub.refused = "op-000000000003:operate:1", {"op-000000000004:operate:1"}
    assert await purge_what_is_old(hub, NOW) == 23
    assert hub.lists < 100, "what stays is not asked for again and again"
    hub.dies_at, hub.refused = "", set()
    assert await purge_what_is_old(hub, NOW) == 2


@pytest.mark.usefixtures("world")
async def test_three_at_once_killed_and_late_each_history_goes_once() -> None:
    hub: Any = Histories()
    for number in range(130):
        hub.add(f"op-{number:012}:operate:1", 35 + number)
    kept = hub.add("op-999999999999:operate:1", 1)
    hub.killed_at = 110
    with pytest.raises(asyncio.CancelledError):
        await purge_what_is_old(hub, NOW)
    hub.killed_at = -1
    left = len(hub.instances) - 1
    assert 0 < left < 130, "it died on its way"
    assert sum(await asyncio.gather(*(purge_what_is_old(hub, NOW) for _ in range(3)))) == left
    assert list(hub.instances) == [kept]
    assert await purge_what_is_old(hub, NOW + timedelta(days=3)) == 0


async def test_never_while_a_record_still_needs_it(world: World) -> None:
    """The sweep starts a running record whose instance is missing: it must be there to be found as ended."""
    request = await world.order()
    client: Any = Histories()
    asked = await _operation(client, await active(world), "still-open")
    hub: Any = Histories()
    kept = {
        hub.add(request.instance_id, 90, "Failed"),
        hub.add(child_instance(request.instance_id, "approve"), 90),
        hub.add(operation_instance(asked.id, 1), 90, "Failed"),
    }
    assert await purge_what_is_old(hub, NOW) == 0
    assert hub.instances.keys() == kept
    await _age(request.application, requests.request_key(request.id))
    await _age(asked.application, operations.operation_key(asked.id))
    await timer_sweep._look_after(hub, await requests.get(request.application, request.id))
    await sweep_operations(hub)
    assert (await requests.get(request.application, request.id)).state is RequestState.PARKED
    assert (await operations.get(asked.application, asked.id)).state is OperationState.PARKED
    assert not kept & set(hub.started)
    assert await purge_what_is_old(hub, NOW) == 3


async def _age(partition: str, key: str, days: float = 31, **changes: Any) -> None:
    """A row as if it had been written so many days ago."""
    row = await read(partition, key)
    assert row is not None
    moment = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    await commit(partition, [Write(key, row.document | changes | {"updatedAt": moment}, etag=row.etag)])


async def _operation(client: Any, request: RequestRecord, key: str) -> OperationRecord:
    asked = AskedOperation(
        operation="reconcile-tags",
        application=request.application,
        occasion=Occasion.EVENT,
        business_key=key,
        requester="appstore",
        requester_name="App Store",
    )
    return await _operation_intake.accept(client, asked)


type Repeat = Callable[[Any], Awaitable[str]]  # says which instance it might start


async def _ended_request(world: World) -> Repeat:
    """The same order again, its claim as a dying process left it: recorded, and not noted as started."""
    record = await active(world)
    await _age(record.application, requests.request_key(record.id), state=RequestState.SUCCEEDED)
    claim = await claims.get(record.id)
    assert claim is not None
    await claims.set_state(claim, ClaimState.CLAIMED)

    async def again(client: Any) -> str:
        found = await claims.get(record.id)
        assert found is not None
        await timer_sweep._finish_claim(client, found)
        await _intake.start(client, await requests.get(record.application, record.id))
        return record.instance_id

    return again


async def _ended_operation(world: World) -> Repeat:
    """The same event again."""
    hub: Any = Histories()
    request = await active(world)
    record = await _operation(hub, request, "told-twice")
    assert hub.started == [record.instance_id]
    run = Run(request_id=record.id, application=record.application, branch="operation")
    await registered("begin_operation")({"run": run.document()})
    await registered("end_operation")(EndOperation(run=run, state=OperationState.SUCCEEDED).document())
    await _age(record.application, operations.operation_key(record.id))

    async def again(client: Any) -> str:
        assert (await _operation(client, request, "told-twice")).id == record.id
        await _operation_intake.start(client, await operations.get(record.application, record.id))
        return record.instance_id

    return again


async def _ended_promotion(world: World) -> Repeat:
    """The same request for a promotion again, past the look for a repeat."""
    request = await active(world)
    wanted = PromotionRequest.model_validate({"from": "dev", "to": "qa"})
    moment, identifier = datetime.now(UTC).isoformat(), "pro-0123456789ab"
    record = PromotionRecord(
        id=identifier,
        application=request.application,
        state=PromotionState.REFUSED,
        source="dev",
        target="qa",
        body_hash=digest(wanted.document()),
        tenant=REQUESTER.tenant,
        requester=REQUESTER.id,
        requester_name=REQUESTER.name,
        owner_team="payments",
        request_id=request.id,
        instance_id=promote_instance(identifier, 1),
        created_at=moment,
        updated_at=moment,
    )
    await promotions.create(record, Entry(f"{identifier}:promote", moment, "x", "promote", identifier, "x"))
    await _age(record.application, promotions.promotion_key(identifier))

    async def again(client: Any) -> str:
        await _promotion_intake.take_in(client, record, wanted)
        return record.instance_id

    return again


async def _due_message(world: World) -> Repeat:
    """A message that was due and never sent: a month later nobody wants to read it."""
    record = await world.order()
    await timer_sweep._park(record, "The orchestration ended as Terminated.")
    (intent,) = await intents.of_request(record.application, record.id)
    assert intent.state is MessageState.DUE
    old = intent.model_copy(update={"updated_at": (datetime.now(UTC) - timedelta(days=31)).isoformat()})

    async def again(client: Any) -> str:
        await http_messages.start_sending(client, old)
        return message_instance(old.key, old.tries)

    return again


@pytest.mark.parametrize("ended", [_ended_request, _ended_operation, _ended_promotion, _due_message])
async def test_after_the_purge_a_late_repeat_starts_nothing(
    world: World, ended: Callable[[World], Awaitable[Repeat]]
) -> None:
    again, hub = await ended(world), Histories()
    client: Any = hub
    instances = {await again(client) for _ in range(2)}
    await sweep_operations(client)
    await sweep_promotions(client)
    assert not instances & set(hub.started)


async def test_after_its_row_went_the_trail_still_keeps_the_same_key_from_starting(world: World) -> None:
    hub: Any = Histories()
    request = await active(world)
    record = await _operation(hub, request, "three months ago")
    run = Run(request_id=record.id, application=record.application, branch="operation")
    await registered("begin_operation")({"run": run.document()})
    await registered("end_operation")(EndOperation(run=run, state=OperationState.SUCCEEDED).document())
    hub.add(record.instance_id, 89)
    assert await purge_what_is_old(hub, NOW) == 1
    await remove_what_is_old(NOW + timedelta(days=91))
    assert await operations.find(record.application, record.id) is None
    for _ in range(2):
        with pytest.raises(RequestRejectedError) as refused:
            await _operation(hub, request, "three months ago")
        assert refused.value.code == "settled-before"
        assert record.id in str(refused.value)
    assert hub.started == [record.instance_id], "three months ago, and never again"
    other = await _operation(hub, request, "another key")
    assert hub.started == [record.instance_id, other.instance_id]


async def test_what_waits_is_started_however_long_it_waited(world: World) -> None:
    """The app may have been down for a month: what it was asked for before is not forgotten."""
    hub: Any = Histories()
    request = await world.order()
    asked = await _operation(Histories(), await active(world), "waits")
    await _age(request.application, requests.request_key(request.id))
    await _age(asked.application, operations.operation_key(asked.id))
    await timer_sweep._look_after(hub, await requests.get(request.application, request.id))
    await sweep_operations(hub)
    assert {request.instance_id, asked.instance_id} <= set(hub.started)


@pytest.mark.usefixtures("world")
async def test_histories_go_before_the_rows_that_name_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPSTORE_HISTORY_DAYS", "400")
    assert _intake.history_kept() == timedelta(days=90)
    monkeypatch.setenv("APPSTORE_RETENTION_DAYS", "500")
    assert _intake.history_kept() == timedelta(days=400)
