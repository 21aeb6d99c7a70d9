"""Every Day-2 operation through everything that can go wrong: one effect remains, and what is said of it is true."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrators._day2 import OPERATIONS
from shared import shields
from shared.models.operations import ActionState, OperationRecord, OperationState
from shared.register import operations
from tests.integration.day2 import WorkerDiedError, rows
from tests.integration.stages import STAGES, Play, Scene, Stage, run
from tests.integration.test_events import OPERATOR
from tests.integration.wire import dying_after_each, dying_after_rows, failing, watched
from tests.integration.world import DurableClient, World
from triggers._http import Call
from triggers.http_operations import retry_operation

S = OperationState
FAULTS: dict[str, dict[str, Any]] = {
    "throttled": {"mode": "status", "status": 429, "headers": {"Retry-After": "1"}},
    "failed": {"mode": "status", "status": 500, "headers": {"Retry-After": "30"}},
    "failed-after-commit": {"mode": "status_after", "status": 500, "headers": {"Retry-After": "30"}},
    "timeout-after-commit": {"mode": "drop_after"},
}

REFUSAL: dict[str, Any] = {
    "mode": "status",
    "status": 403,
    "body": {"error": {"code": "AuthorizationFailed", "message": "the App Store may not do this here"}},
}


def each(share: int, *ways: str, calls: bool = False, first: int = 0) -> pytest.MarkDecorator:
    """Every stage, with every call and fault if there are any.

    Every ``share``-th case, from the ``first`` on, is in the suite; the rest is long, as is what takes a pipeline.
    """
    cases: list[tuple[Any, ...]] = []
    for stage in STAGES:
        numbers = range(1, stage.calls + 1) if calls else [0]
        cases += [(stage, number, way) for number in numbers for way in _ways(stage, ways)]
    names = [name for name, used in (("stage", True), ("number", calls), ("fault", bool(ways))) if used]
    found = []
    for place, (stage, number, way) in enumerate(cases):
        values = [value for value, used in ((stage, True), (number, calls), (way, bool(ways))) if used]
        long = place % share != first or stage.operation == "detect-drift"
        found.append(pytest.param(*values, marks=[pytest.mark.long] * long, id="-".join(map(str, values))))
    return pytest.mark.parametrize(names, found)


def _ways(stage: Stage, ways: tuple[str, ...]) -> list[str]:
    """Where two rules act, most calls are those of the other one, whose own proofs refuse them in every way."""
    return [way for way in ways if not stage.beside[0] or way.endswith("-after-commit")] or [""]


@pytest.fixture
def scene(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(world, monkeypatch, tmp_path)


def test_no_operation_is_forgotten() -> None:
    assert {stage.operation for stage in STAGES} == set(OPERATIONS)


async def ended_well(stage: Stage, play: Play, done: OperationRecord) -> None:
    """One effect, and the operation says so."""
    expected = S.PARTIAL if stage.label == "-in-vain" else S.SUCCEEDED
    assert done.state is expected, done.problem
    states = {row.state for row in await rows(done)}
    assert states == {ActionState.DONE}, states
    assert await play.look() == play.once


@each(2)
async def test_asked_for_and_run_five_times_it_happens_once(scene: Scene, stage: Stage) -> None:
    play = await stage.set(scene)
    assert await play.look() != play.once or stage.operation == "drill-restore"
    asked = await asyncio.gather(*(stage.ask(play, business_key="five times") for _ in range(5)))
    assert len({record.id for record in asked}) == 1
    with watched() as wire:
        done = await run(play, asked[0], twice=True)
        await ended_well(stage, play, done)
        assert len(wire.sent) == stage.calls, str(wire)
        for record in asked[1:]:
            done = await run(play, record)
        assert len(wire.sent) == stage.calls, str(wire)
    await ended_well(stage, play, done)


@each(2, first=1)
async def test_killed_after_each_call_it_goes_on(scene: Scene, stage: Stage) -> None:
    play = await stage.set(scene)
    asked = await stage.ask(play)
    history: list[dict[str, Any]] = []
    deaths = 0
    with watched(after=dying_after_each()):
        while True:
            try:
                done = await run(play, asked, history=history)
            except WorkerDiedError:
                deaths += 1
            else:
                break
    assert deaths >= stage.calls
    await ended_well(stage, play, done)


@each(6)
async def test_killed_after_each_row_of_the_register_it_goes_on(scene: Scene, stage: Stage) -> None:
    play = await stage.set(scene)
    asked = await stage.ask(play)
    history: list[dict[str, Any]] = []
    deaths = 0
    with dying_after_rows():
        while True:
            try:
                done = await run(play, asked, history=history)
            except WorkerDiedError:
                deaths += 1
            else:
                break
    assert deaths > len(history)
    await ended_well(stage, play, done)


TOGETHER = [stage for stage in STAGES if stage.operation != "detect-drift"]
# Renewing a key has no condition: two may do it at the same instant. How often is not told, only what is there then.
RENEWALS = {"rotate-secret", "revoke-secret"}

# Not what takes a pipeline; and the alert of the useful response is over when it is tried again.
AGAIN = [stage for stage in TOGETHER if str(stage) != "respond-to-alert"]


def some(stages: list[Stage], share: int) -> pytest.MarkDecorator:
    """These stages, every ``share``-th in the suite."""
    marks = [[pytest.mark.long] * (place % share > 0) for place in range(len(stages))]
    cases = zip(stages, marks, strict=True)
    return pytest.mark.parametrize("stage", [pytest.param(stage, marks=own, id=str(stage)) for stage, own in cases])


@some(TOGETHER, 4)
async def test_run_by_three_workers_at_once_it_happens_once(scene: Scene, stage: Stage) -> None:
    play = await stage.set(scene)
    asked = await stage.ask(play)
    done = await asyncio.gather(*(run(play, asked) for _ in range(3)))
    if stage.operation in RENEWALS:
        assert done[0].state is S.SUCCEEDED, done[0].problem
        assert {row.state for row in await rows(done[0])} == {ActionState.DONE}
        assert (await play.look())[2:] == play.once[2:], "the old key is gone, the published one works"
        return
    await ended_well(stage, play, done[0])


@each(11, *FAULTS, calls=True)
async def test_a_call_that_fails_once_heals(scene: Scene, stage: Stage, number: int, fault: str) -> None:
    play = await stage.set(scene)
    asked = await stage.ask(play)
    with watched(before=failing(scene.world, number, **FAULTS[fault])):
        done = await run(play, asked)
    await ended_well(stage, play, done)


@some(AGAIN, 4)
async def test_what_was_refused_is_done_when_it_is_allowed_and_tried_again(scene: Scene, stage: Stage) -> None:
    await shields.tell_success(stage.rule)
    play = await stage.set(scene)
    asked = await stage.ask(play)
    with watched(before=failing(scene.world, 1, on=True, **REFUSAL)):
        parked = await run(play, asked)
    assert parked.state is S.PARKED, parked.state
    client: Any = DurableClient()
    place = {"name": parked.application, "operation": parked.id}
    headers = {"content-type": "application/json", "idempotency-key": f"retry-{parked.id}"}
    await retry_operation(Call(OPERATOR, place, {}, headers, client, b"{}", "/api"))
    again = await operations.get(parked.application, parked.id)
    play.given(again)
    await ended_well(stage, play, await run(play, again))


@each(4, calls=True)
async def test_what_is_refused_for_good_is_told(scene: Scene, stage: Stage, number: int) -> None:
    await shields.tell_success(stage.rule)  # the failures of other tests are not its own
    play = await stage.set(scene)
    asked = await stage.ask(play)
    with watched(before=failing(scene.world, number, on=True, **REFUSAL)):
        done = await run(play, asked)
    states = {row.state for row in await rows(done)}
    assert done.state is (S.PARTIAL if ActionState.DONE in states else S.PARKED), (done.state, states)
    assert done.problem
    assert "AuthorizationFailed" in done.problem.detail, done.problem.detail
