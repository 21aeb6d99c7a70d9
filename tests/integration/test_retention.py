"""What is settled goes after its time; what is open and the audit trail stay."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from activities._activity import registered
from shared.models.events import EventRecord, EventState, ReceivedEvent
from shared.models.operations import ActionRecord, EndOperation, OperationRecord, OperationState, PlannedAction
from shared.models.runs import Run
from shared.register import audit, events, operations, retention
from shared.register._table import Write, commit
from tests.integration.day2 import active, ask
from tests.integration.world import World
from triggers.timer_anchor import remove_what_is_old

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=91)


async def _event(state: EventState, name: str) -> str:
    moment = NOW.isoformat()
    event = ReceivedEvent(source="event-grid", id=f"{name}-{state}")
    record = EventRecord(id=f"evt-{name}-{state}", event=event, state=state, received_at=moment, updated_at=moment)
    return (await events.claim(record))[0].id


async def _ended(record: OperationRecord, state: OperationState) -> OperationRecord:
    run = Run(request_id=record.id, application=record.application, branch="operation")
    action = PlannedAction(key="a", rule="r", kind="k", target="t", owned_by="", summary="s")
    await operations.plan_actions(record.application, [ActionRecord(operation_id=record.id, order=0, action=action)])
    await registered("end_operation")(EndOperation(run=run, state=state).document())
    return record


@pytest.mark.usefixtures("world")
async def test_settled_events_go_and_those_that_wait_stay() -> None:
    identifiers = {state: await _event(state, "kept") for state in EventState}
    await remove_what_is_old(NOW + timedelta(days=80))
    assert all([await events.find(identifier) for identifier in identifiers.values()])
    await remove_what_is_old(LATER)
    left = [state for state, identifier in identifiers.items() if await events.find(identifier)]
    assert left == [EventState.CLAIMED]


async def test_an_operation_goes_with_its_actions_unless_it_can_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = await active(world)
    done = await _ended(await ask(request, "reconcile-tags"), OperationState.CANCELLED)
    parked = await _ended(await ask(request, "reconcile-tags"), OperationState.PARKED)
    open_ = await ask(request, "reconcile-tags")
    trail = await audit.of_application(request.application)
    left = 1

    async def dies(partition: str, writes: Sequence[Write]) -> list[str]:
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError("died here")
        return await commit(partition, writes)

    with monkeypatch.context() as patch:
        patch.setattr(retention, "commit", dies)
        await remove_what_is_old(LATER)  # the action is gone, and then the process
    for _ in range(2):
        await remove_what_is_old(LATER)
    left_over = {record.id for record in await operations.of_application(request.application)}
    assert left_over == {parked.id, open_.id}
    counts = {one.id: (await operations.counts(request.application, one.id)).planned for one in (done, parked)}
    assert counts == {done.id: 0, parked.id: 1}
    assert await audit.of_application(request.application) == trail


async def test_what_is_written_meanwhile_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.position() >= 0
    first, second = await _event(EventState.DEAD, "meanwhile"), await _event(EventState.IGNORED, "meanwhile")
    oldest = retention._oldest

    async def replayed(condition: str, before: datetime, most: int) -> object:
        rows = await oldest(condition, before, most)
        await events.change(first, lambda old: old.model_copy(update={"state": EventState.CLAIMED, "tries": 9}))
        return rows

    monkeypatch.setattr(retention, "_oldest", replayed)
    assert await retention.remove_events(LATER, 1) >= 1
    assert await events.find(second) is None
    kept = await events.find(first)
    assert kept is not None
    assert kept.state is EventState.CLAIMED
