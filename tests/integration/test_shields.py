"""What stands above every rule, and to observe only: not one call that changes anything is made by any operation."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from shared.clock import utc_now
from shared.guard_rules import FILE
from shared.models.controls import KillSwitch
from shared.models.operations import RUNNING_STATES, ActionState, OperationRecord, OperationState
from shared.models.records import RequestRecord
from shared.register import controls, operations
from tests.integration.day2 import WorkerDiedError, active, ask, group_of, perform, rows
from tests.integration.stages import STAGES, Scene, Stage, beside, decide, prepares, run
from tests.integration.test_clean_up import lift, shield
from tests.integration.test_events import OPERATOR
from tests.integration.test_tags import many_accounts
from tests.integration.wire import Wire, watched
from tests.integration.world import DurableClient, World
from triggers._http import Call
from triggers.http_operations import cancel_operation, get_operation

S = OperationState
SHIELDS = ("hold", "freeze", "exemption", "kill-switch", "lock")
WHY = {
    "hold": "a legal hold lies on it",
    "freeze": "a change freeze is in force",
    "kill-switch": "he kill switch is on",
    "lock": "it is locked",
    "exemption": "an exemption takes it from the rule",
}
EVERY_FIFTH, NONE = 5, 1000  # so many of the cases are in the suite, the others are long proofs
# Rules under which no operation acts, and where what they do is shown.
ELSEWHERE = {
    "update-template": "test_campaigns.py",
    "remove-drill": "test_drill_removal.py",
}


@pytest.fixture
def scene(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(world, monkeypatch, tmp_path)


def test_no_rule_of_the_guard_is_forgotten() -> None:
    rules = set(yaml.safe_load(FILE.read_text(encoding="utf-8"))["rules"])
    shown = {rule for stage in STAGES for rule in (stage.rule, stage.beside[0]) if rule}
    assert rules == shown | set(ELSEWHERE)


def each_shield(share: int) -> pytest.MarkDecorator:
    """Shield by stage; a lock keeps what is destructive, everything else Azure itself refuses."""
    cases = [
        (stage, kind) for stage in STAGES for kind in SHIELDS if kind != "lock" or (stage.destructive and stage.locks)
    ]
    found = []
    for place, (stage, kind) in enumerate(cases):
        slow = stage.operation == "detect-drift" and kind != "kill-switch"  # the pipeline compares first
        long = slow or (place % share != 0 and not (share == EVERY_FIFTH and stage.operation == "detect-drift"))
        found.append(pytest.param(stage, kind, marks=[pytest.mark.long] * long, id=f"{stage}-{kind}"))
    return pytest.mark.parametrize(("stage", "kind"), found)


@asynccontextmanager
async def laid(kind: str, world: World, record: RequestRecord) -> AsyncIterator[None]:
    """A shield over the application, as long as the block lasts."""
    by: dict[str, Any] = {"reason": "test", "actor": "test", "actor_name": "test"}
    if kind == "kill-switch":
        await controls.set_kill_switch(KillSwitch(on=True, at=utc_now(), **by))
        try:
            yield
        finally:
            await controls.set_kill_switch(KillSwitch(on=False, at=utc_now(), **by))
        return
    there = await shield(kind, world, record, group_of(record))
    try:
        yield
    finally:
        await lift(world, there)


def changing(stage: Stage, wire: Wire) -> list[httpx.Request]:
    """The calls that did more than to find out or to tell people."""
    return [request for request in wire.sent if not prepares(stage, request)]


def apart(kind: str, stage: Stage, request: httpx.Request) -> bool:
    """Whether a shield is no shield of what the call changes: a lock of Azure of no repository."""
    return kind == "lock" and beside(stage, request)


async def kept_back(kind: str, done: OperationRecord, *, stopped: bool = False) -> None:
    """Every action says that it was kept back; the operation claims no more, and says by what.

    What an exemption takes from a rule is as it should be. What the kill switch ``stopped`` begins again when it is
    tried again; everything else was refused.
    """
    states = {row.state for row in await rows(done)}
    if kind == "exemption":
        assert (done.state, done.problem) == (S.SUCCEEDED, None)
        assert {ActionState.EXEMPT} <= states <= {ActionState.EXEMPT, ActionState.GONE}
        return
    assert done.problem
    if stopped:
        assert (done.state, states - {ActionState.PLANNED}) == (S.PARKED, set())
    else:
        assert (done.state, states - {ActionState.PLANNED}) == (S.REFUSED, {ActionState.REFUSED})
    assert WHY[kind] in done.problem.detail, done.problem.detail


@each_shield(EVERY_FIFTH)
async def test_a_shield_that_is_there_means_no_call(scene: Scene, stage: Stage, kind: str) -> None:
    play = await stage.set(scene)
    async with laid(kind, scene.world, play.record):
        with watched() as wire:
            done = await run(play, await stage.ask(play))
    assert [str(request.url) for request in changing(stage, wire) if not apart(kind, stage, request)] == []
    # The pipeline has to compare before anybody can judge: that is a step, and the kill switch lets none begin.
    await kept_back(kind, done, stopped=kind == "kill-switch" and stage.operation == "detect-drift")


@each_shield(NONE)
async def test_a_shield_that_comes_when_all_is_decided_means_no_call(scene: Scene, stage: Stage, kind: str) -> None:
    play = await stage.set(scene)
    asked = await stage.ask(play)
    history: list[dict[str, Any]] = []
    for number in itertools.count(2):
        state = (await operations.get(asked.application, asked.id)).state
        if state is S.ACTING:
            break
        assert state in RUNNING_STATES, state
        with suppress(WorkerDiedError):
            await run(play, asked, history=history, dies_after=number)
    async with laid(kind, scene.world, play.record):
        with watched() as wire:
            done = await run(play, asked, history=history)
    assert [str(request.url) for request in changing(stage, wire) if not apart(kind, stage, request)] == []
    await kept_back(kind, done, stopped=kind == "kill-switch")


@pytest.mark.parametrize(
    ("workers", "items", "at"), [(2, 12, 8), pytest.param(4, 250, 40, marks=pytest.mark.long)], ids=["24", "1000"]
)
async def test_after_the_kill_switch_each_worker_does_at_most_one_item_more(
    world: World, workers: int, items: int, at: int
) -> None:
    """Several operations at once, each with many things to do, as each worker has one."""
    records = [await active(world, environments=["dev"]) for _ in range(workers)]
    for record in records:
        many_accounts(world, record, items)
    asked = [await ask(record, "reconcile-tags") for record in records]
    by = {"reason": "test", "actor": "test", "actor_name": "test"}
    then = 0

    async def turn(wire: Wire) -> None:
        nonlocal then
        await controls.set_kill_switch(KillSwitch(on=True, at=utc_now(), **by))
        then = len(wire.sent)

    try:
        with watched(before=lambda number, _: turn(wire) if number == at else None) as wire:
            done = await asyncio.gather(*(perform(record) for record in asked))
    finally:
        await controls.set_kill_switch(KillSwitch(on=False, at=utc_now(), **by))
    assert at <= then < workers * items
    assert len(wire.sent) - then <= workers
    for ended in done:
        assert ended.state is (S.PARTIAL if ended.counts.done else S.PARKED)
        assert ended.problem
        assert "kill switch" in ended.problem.detail.lower(), ended.problem.detail
        assert ended.counts.done + ended.counts.planned == items + 1, "the group has tags as well"


NOT_KNOWN = "as the provider names it"
OPERATION = re.compile(r"op-[0-9a-f]{12}")


def _bare(text: str) -> str:
    """Without what differs between two operations, and without what is the same of every call."""
    bare = text.removeprefix("https://management.azure.com").partition("?")[0]
    bare = re.sub(r"\bst[0-9a-f]{18}\b", "{account}", bare)  # a drill's: its name has the operation's id
    return re.sub(r"(?<=-)[0-9a-f]{12}(?=$|[/.])", "{id}", OPERATION.sub("{op}", bare))


def _told(method: str, target: str, body: Any) -> tuple[str, str, Any]:
    return method, _bare(target), json.loads(OPERATION.sub("{op}", json.dumps(body)))


def _made(request: httpx.Request) -> tuple[str, str, Any]:
    """A call as an operation lists it."""
    body: Any = json.loads(request.content) if request.content else None
    if request.url.path.endswith("/dispatches"):
        inputs = body["inputs"]
        return "terraform apply", inputs["state_key"], {"plan_sha256": inputs["plan_sha256"]}
    return _told(request.method, str(request.url), body)


def _fits(listed: tuple[str, str, Any], made: tuple[str, str, Any]) -> bool:
    """The same call. A list leaves out what is secret or not known before, and tells more of a plan: that is let be."""
    less, plan = re.search(r"vault\.azure\.net|/addPassword$", made[1]), made[0] == "terraform apply"
    if less or plan:
        return listed[:2] == made[:2] and _part(*((listed[2], made[2]) if less else (made[2], listed[2])))
    return listed == made


def _part(less: Any, more: Any) -> bool:
    if isinstance(less, dict) and isinstance(more, dict):
        return all(name in more and _part(value, more[name]) for name, value in less.items())
    return less in (more, NOT_KNOWN)


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(
            stage, marks=[pytest.mark.long] * (place % 3 > 0 or stage.operation == "detect-drift"), id=str(stage)
        )
        for place, stage in enumerate(STAGES)
    ],
)
async def test_to_observe_lists_exactly_the_calls_that_are_then_made(scene: Scene, stage: Stage) -> None:
    play = await stage.set(scene)
    with watched() as wire:
        seen = await run(play, await stage.ask(play, dry_run=True))
    assert seen.state is S.OBSERVED, seen.problem
    assert [str(request.url) for request in changing(stage, wire)] == []
    found = await rows(seen)
    assert any(row.action.destructive for row in found) is stage.destructive
    listed = [_told(call.method, call.target, call.body) for row in found for call in row.action.calls]
    with watched() as wire:
        await run(play, await stage.ask(play))
    made = [_made(request) for request in changing(stage, wire) if not beside(stage, request)]
    assert len(listed) == len(made), (listed, made)
    for planned, call in zip(listed, made, strict=True):
        assert _fits(planned, call), (planned, call)


async def test_after_a_cancellation_at_most_one_item_more_is_done_and_what_was_done_is_counted(world: World) -> None:
    record = await active(world, environments=["dev"])
    many_accounts(world, record, 12)
    asked = await ask(record, "reconcile-tags")
    with watched(before=lambda number, _: decide(asked, cancel_operation) if number == 5 else None) as wire:
        done = await perform(asked)
    assert done.state is S.CANCELLED
    assert len(wire.sent) <= 6
    client: Any = DurableClient()
    place = {"name": asked.application, "operation": asked.id}
    shown = (await get_operation(Call(OPERATOR, place, {}, {}, client, b"", "/api"))).document
    assert (shown["state"], shown["counts"]["done"]) == ("cancelled", len(wire.sent))
