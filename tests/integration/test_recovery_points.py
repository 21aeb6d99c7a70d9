"""Data goes only when a good recovery point outlives it: behaviours.md, E4.

Beside their neighbours: no policy removes a database, a storage account or a vault (tests/unit/test_clean_up_rules.py),
and no repair of drift does (test_drift.py).
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.models.operations import OperationRecord, OperationState
from shared.register import tombstones
from tests.integration.day2 import ask, group_of
from tests.integration.stages import STAGES, Play, Scene, run
from tests.integration.test_clean_up import COMPUTE
from tests.integration.wire import Befalls, watched
from tests.integration.world import World

S = OperationState
DENIED: dict[str, Any] = {"mode": "status", "status": 403, "body": {"error": {"code": "Denied", "message": "no"}}}
HALF: dict[str, Any] = {"provisioningState": "Succeeded", "completionPercent": 40}


@pytest.fixture
async def play(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """A disk that is due to go."""
    return await next(stage for stage in STAGES if str(stage) == "clean-up").set(Scene(world, monkeypatch, tmp_path))


def disk_of(play: Play) -> str:
    return f"{group_of(play.record)}/providers/Microsoft.Compute/disks/data"


async def gone_with_snapshot(world: World, play: Play) -> None:
    assert await play.look() == play.once
    [stone] = [item async for item in tombstones.of_application(play.record.application)]
    made_of = world.azure(stone.snapshot, COMPUTE)["properties"]["creationData"]
    assert made_of["sourceResourceId"] == disk_of(play)


def reading(world: World, properties: dict[str, Any]) -> Befalls:
    """A snapshot that was taken is read with these properties the first time."""

    def after(_number: int, request: httpx.Request) -> None:
        if request.method == "PUT" and "/snapshots/" in request.url.path:
            body = {"properties": properties, "tags": json.loads(request.content)["tags"]}
            world.fault(system="arm", method="GET", path="/snapshots/", times=1, mode="status", status=200, body=body)

    return after


async def parked_with_its_disk(world: World, play: Play, done: OperationRecord, says: str) -> None:
    assert done.state is S.PARKED
    assert done.problem
    assert says in done.problem.detail
    assert world.azure(disk_of(play), COMPUTE) is not None
    again = await run(play, await ask(play.record, "clean-up"))
    assert again.state is S.SUCCEEDED, again.problem
    await gone_with_snapshot(world, play)


async def test_when_the_snapshot_fails_a_disk_stays_and_another_try_takes_another(world: World, play: Play) -> None:
    with watched(after=reading(world, {"provisioningState": "Failed"})) as wire:
        done = await run(play, await ask(play.record, "clean-up"))
    made, removed = wire.sent
    assert (made.method, removed.method, made.url) == ("PUT", "DELETE", removed.url), "the failed one is removed"
    await parked_with_its_disk(world, play, done, "failed")


@pytest.mark.long
async def test_when_the_snapshot_is_denied_a_disk_stays(world: World, play: Play) -> None:
    world.fault(system="arm", method="PUT", path="/snapshots/", times=1, **DENIED)
    with watched() as wire:
        done = await run(play, await ask(play.record, "clean-up"))
    assert [request.method for request in wire.sent] == ["PUT"]
    await parked_with_its_disk(world, play, done, "Denied")


async def test_a_snapshot_that_is_half_taken_is_waited_for(world: World, play: Play) -> None:
    sent: list[list[str]] = []
    with watched(after=reading(world, HALF)) as wire:
        done = await run(
            play,
            await ask(play.record, "clean-up"),
            on_timer=lambda: sent.append([request.method for request in wire.sent]),
        )
    assert done.state is S.SUCCEEDED, done.problem
    assert sent == [["PUT"]], "the disk was there while the snapshot was taken"
    await gone_with_snapshot(world, play)
