"""Each effect twice, with its step remembered and forgotten, and with an answer that gets lost: always one thing."""

import asyncio
from typing import Any

import pytest

from activities._activity import ACTIVITIES
from tests.integration.scenes import EFFECTS, Effect
from tests.integration.world import World

NOT_AGAIN = {"Retry-After": "30"}  # longer than the client waits: the durable retry comes next
LOST: dict[str, dict[str, Any]] = {
    "commit-then-500": {"mode": "status_after", "status": 500, "headers": NOT_AGAIN},
    "timeout-after-commit": {"mode": "drop_after"},
}
UNIQUE = {f"{effect.activity}{effect.system}": effect for effect in reversed(EFFECTS)}


def test_no_effect_is_forgotten() -> None:
    effects = {
        name
        for name in ACTIVITIES
        if name.startswith(("ensure_", "start_", "open_", "merge_", "close_", "remove_", "send_", "request_", "note_"))
    }
    effects |= {"set_content", "set_team_access", "set_protection"}
    # Proven with their whole flow: test_drift.py, test_drift_proposals.py, test_campaigns.py, test_backups.py,
    # test_alert_responses.py, test_clean_up.py.
    of_day2 = {"start_drift", "ensure_drift_items", "ensure_drift_proposal", "open_template_updates", "open_incident"}
    of_day2 |= {"ensure_backups", "ensure_restored_servers", "remove_restored_servers", "note_drill"}
    of_day2 |= {"ensure_restored_resource", "remove_orphans", "send_removal_notices"}
    assert effects - {"start_run"} - of_day2 == {effect.activity for effect in EFFECTS}


@pytest.mark.parametrize("name", UNIQUE)
async def test_twice_is_once(world: World, name: str) -> None:
    effect = UNIQUE[name]
    name = effect.activity
    scene = await effect.prepare(world, name)
    assert scene.count() == scene.before
    began = world.position()
    first = await world.value(name, scene.payload)
    assert scene.count() == scene.after
    await world.forget(name, scene.payload)
    again = await world.value(name, scene.payload)
    assert scene.count() == scene.after
    assert world.committed(began, effect.method, effect.path, effect.content) == 1 or not effect.once
    if name.startswith("remove_"):
        assert again["residue"] == first["residue"]
    else:
        assert again["made"] == first["made"]
    before = world.position()
    repeated = await world.value(name, scene.payload)
    if not scene.payload.run.undo:  # what is to be removed may have been made again since
        assert repeated == again
        assert {entry["system"] for entry in world.calls(before)} == {"storage"}
    assert scene.count() == scene.after


SECOND = "@azure_boards"  # the same steps as in the first system of their kind: not in every run
LOSSES = [
    # Both ways to lose an answer are proven of every effect; the suite takes one way of every second effect, in turns.
    pytest.param(effect, lost, id=f"{effect}-{lost}", marks=[pytest.mark.long] * (effect.system == SECOND or other))
    for number, effect in enumerate(EFFECTS)
    for lost, other in zip(LOST, (number % 4 != 0, number % 4 != 2), strict=True)
]


@pytest.mark.parametrize(("effect", "lost"), LOSSES)
async def test_a_lost_answer_makes_no_second_object(world: World, effect: Effect, lost: str) -> None:
    scene = await effect.prepare(world, effect.activity)
    began = world.position()
    world.fault(method=effect.method, path=effect.path, content=effect.content, **LOST[lost])
    outcome = await world.insist(effect.activity, scene.payload)
    assert [entry for entry in world.calls(began) if entry["fault"]], "the fault met nothing"
    assert outcome.ok, outcome.problem
    assert scene.count() == scene.after
    assert world.committed(began, effect.method, effect.path, effect.content) == 1 or not effect.once


async def test_a_503_may_have_started_the_pipeline_too(world: World) -> None:
    effect = UNIQUE["start_destroy"]
    scene = await effect.prepare(world, effect.activity)
    world.fault(method=effect.method, path=effect.path, mode="status_after", status=503)
    assert (await world.insist(effect.activity, scene.payload)).ok
    assert scene.count() == 1


async def test_two_at_the_same_time_are_one_repository(world: World) -> None:
    scene = await UNIQUE["ensure_repository"].prepare(world, "ensure_repository")
    world.fault(method="POST", path=r"/orgs/contoso/repos$", mode="delay", delay_ms=200, times=None)
    outcomes = await asyncio.gather(*(world.run("ensure_repository", scene.payload) for _ in range(2)))
    assert [outcome.problem for outcome in outcomes] == [None, None]
    assert scene.count() == 1


@pytest.mark.parametrize("name", ["ensure_board@github_projects", "ensure_board@azure_boards"])
async def test_two_at_the_same_time_are_one_board(world: World, name: str) -> None:
    effect = UNIQUE[name]
    scene = await effect.prepare(world, effect.activity)
    world.fault(method=effect.method, path=effect.path, content=effect.content, mode="delay", delay_ms=200, times=None)
    outcomes = await asyncio.gather(*(world.run(effect.activity, scene.payload) for _ in range(2)))
    assert [outcome.problem for outcome in outcomes] == [None, None]
    assert scene.count() == 1


async def test_items_that_were_added_at_the_same_time_are_there_once(world: World) -> None:
    effect = UNIQUE["ensure_work_items@github_projects"]
    scene = await effect.prepare(world, effect.activity)
    world.fault(path=effect.path, content="AddItems", mode="delay", delay_ms=200, times=None)
    outcomes = await asyncio.gather(*(world.run(effect.activity, scene.payload) for _ in range(2)))
    assert None in [outcome.problem for outcome in outcomes]
    assert scene.count() == 1
