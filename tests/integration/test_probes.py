"""What another product was measured to do wrong, one test or more for each probe: behaviours.md, 4.2 (``PROBES``)."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared import guard_rules
from shared.errors import NotAuthorizedError
from shared.models.operations import ActionState, OperationState
from shared.register import intents, operations, orphans
from tests.integration.day2 import active, ask, operate, perform, rows
from tests.integration.stages import STAGES, Play, Scene, orphan_of, run
from tests.integration.test_clean_up import NETWORK, TAG, address
from tests.integration.test_clean_up import tags_of as shown_tags
from tests.integration.test_events import OPERATOR, Starts
from tests.integration.test_guarded import RULES
from tests.integration.test_tags import many_accounts, tags_of, writes
from tests.integration.wire import watched
from tests.integration.world import World
from triggers._event_intake import from_event_grid, take_in
from triggers._http import Call
from triggers.http_operations import retry_operation

# The probes in the order of the table, and the tests that answer them.
PROBES = {
    "mark-for-op without days": ["test_a_mark_without_days_is_four_days_away_and_nothing_goes_today"],
    "another writer adds a tag during the run": ["test_tags_that_somebody_writes_during_the_run_are_not_lost"],
    "50 % of tag writes answer 409": ["test_when_half_of_the_writes_are_refused_that_is_told_and_counted"],
    "Resource Graph source, 3,500 rows": [
        "test_resource_graph.py::test_every_page_is_read_although_nothing_is_said_to_be_truncated",
        "test_resource_graph.py::test_half_an_inventory_is_none",
    ],
    "one unparsable mark date": ["test_one_mark_date_that_cannot_be_read_harms_no_other"],
    "one 429 with Retry-After 60": ["test_one_429_that_asks_for_a_minute_gets_it_and_then_all_is_done"],
    "five 429 with Retry-After 60": ["test_after_a_429_nobody_calls_before_its_time_and_who_cannot_wait_says_so"],
    "max-resources-percent 5, 10 % match": ["test_more_than_the_share_that_a_rule_may_hit_means_no_write"],
    "tag action twice": ["test_a_second_run_writes_nothing"],
    "mark-for-op daily": ["test_the_first_date_of_a_mark_stays_whatever_the_later_sweeps_find"],
    "event mode, write fails": [
        "test_an_event_whose_write_fails_is_told_kept_and_done_when_somebody_asks_again",
        "test_events.py::test_a_failure_is_tried_three_times_more_and_then_a_dead_letter_that_can_be_replayed",
    ],
    "same event id 3 x": ["test_the_same_event_three_times_is_one_write"],
    "600 writes vs bucket 200 + 10/s": [
        "test_arm_budget.py::test_writes_beyond_the_limit_are_paced_and_none_is_lost",
        "test_arm_budget.py::test_a_short_pause_is_waited_for",
        "test_arm_budget.py::test_a_long_pause_is_kept_by_every_process_and_azure_is_not_asked",
    ],
    "errors in auth": ["test_an_identity_that_is_refused_ends_the_operation_and_not_the_process"],
}
S = OperationState
WRITE, TAGS = "/tags/default", "2025-04-01"
POLICY = """
policies:
  - name: address-unused
    resource: azure.publicip
    filters: [{type: value, key: properties.ipConfiguration, value: absent}]
    actions: [{type: mark-for-op, op: delete, tag: appstore-clean-up}]
  - name: address-unused-remove
    resource: azure.publicip
    filters: [{type: marked-for-op, op: delete, tag: appstore-clean-up}]
    actions: [delete]
"""


@pytest.fixture
def scene(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(world, monkeypatch, tmp_path)


@pytest.mark.parametrize("probe", PROBES)
def test_every_probe_has_its_test(probe: str) -> None:
    for named in PROBES[probe]:
        file, _, name = named.rpartition("::")
        text = Path(__file__).with_name(file or "test_probes.py").read_text(encoding="utf-8")
        assert re.search(rf"^async def {name}\(", text, re.MULTILINE), named


async def staged(scene: Scene, name: str) -> Play:
    return await next(stage for stage in STAGES if str(stage) == name).set(scene)


def day(number: int) -> str:
    return (datetime.now(UTC) + timedelta(days=number)).isoformat()


async def sweep(play: Play, number: int) -> Any:
    """One day's sweep."""
    return await operate(play.record, "mark-orphans", occasion="timer", parameters={"at": day(number)})


async def test_a_mark_without_days_is_four_days_away_and_nothing_goes_today(scene: Scene) -> None:
    (scene.folder / "own.yaml").write_text(POLICY)
    scene.patch.setattr("shared.clean_up_rules.FOLDER", scene.folder)
    play = await staged(scene, "mark-orphans")
    assert (await sweep(play, 0)).state is S.SUCCEEDED
    [row] = await orphans.of_application(play.record.application)
    assert row.due == (datetime.now(UTC) + timedelta(days=4)).date()
    removal = await operate(play.record, "clean-up", occasion="timer", parameters={"at": day(0)})
    assert (removal.state, removal.counts.done) == (S.SUCCEEDED, 0)
    assert scene.world.azure(row.resource, NETWORK) is not None


@pytest.mark.parametrize("count", [8, pytest.param(60, marks=pytest.mark.long)])
async def test_tags_that_somebody_writes_during_the_run_are_not_lost(world: World, count: int) -> None:
    record = await active(world, environments=["dev"])
    paths = many_accounts(world, record, count)

    def write(_number: int, request: httpx.Request) -> None:
        body = {"operation": "Merge", "properties": {"tags": {"legal-hold": "case 7"}}}
        world.azure(request.url.path, TAGS, "PATCH", body)

    with watched(before=write) as wire:
        assert (await operate(record, "reconcile-tags")).state is S.SUCCEEDED
    assert len(wire.sent) == count + 1
    kept = [tags_of(world, path) for path in paths]
    assert [tags.get("legal-hold") for tags in kept] == ["case 7"] * count
    assert {tags.get("application") for tags in kept} == {record.application}


async def test_when_half_of_the_writes_are_refused_that_is_told_and_counted(world: World) -> None:
    record = await active(world, environments=["dev"])
    paths = many_accounts(world, record, 12)
    body = {"error": {"code": "Conflict", "message": "another operation is in progress"}}
    refused = {"mode": "status", "status": 409, "body": body, "times": None}
    world.fault(system="arm", method="PATCH", path=r"stmany\d*[13579]/.*tags/default", **refused)
    done = await operate(record, "reconcile-tags")
    world.heal()
    assert (done.state, done.counts.done, done.counts.failed) == (S.PARTIAL, 7, 6)
    assert done.problem
    assert "7 done, 6 failed" in done.problem.detail
    assert "another operation is in progress" in done.problem.detail
    assert paths[1] in done.problem.detail
    again = await operate(record, "reconcile-tags")
    assert (again.state, again.counts.done) == (S.SUCCEEDED, 6), "the next run does what was left"


async def test_one_mark_date_that_cannot_be_read_harms_no_other(world: World) -> None:
    record = await active(world, environments=["dev"])
    paths = [address(world, record, f"pip{number}") for number in range(3)]
    for path in paths:
        row = orphan_of(record, path, "Microsoft.Network/publicIPAddresses")
        await orphans.change(record.application, path, lambda _, row=row: row)  # type: ignore[misc]
    body = {"operation": "Merge", "properties": {"tags": {TAG: "Resource does not meet policy: delete@one day"}}}
    world.azure(f"{paths[1]}/providers/Microsoft.Resources{WRITE}", TAGS, "PATCH", body)
    done = await operate(record, "clean-up")
    assert (done.state, done.counts.done) == (S.SUCCEEDED, 3), done.problem
    assert [world.azure(path, NETWORK) for path in paths] == [None] * 3


def throttled(world: World, times: int, seconds: int) -> None:
    body = {"error": {"code": "SubscriptionRequestsThrottled", "message": "too many"}}
    headers = {"Retry-After": str(seconds)}
    how: dict[str, Any] = {"mode": "status", "status": 429, "headers": headers, "body": body, "times": times}
    world.fault(system="arm", method="PATCH", path=WRITE, **how)


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_one_429_that_asks_for_a_minute_gets_it_and_then_all_is_done(world: World) -> None:
    record = await active(world, environments=["dev"])
    many_accounts(world, record, 2)
    throttled(world, 1, 60)
    since = world.position()
    done = await perform(await ask(record, "reconcile-tags"), retry_seconds=15.0)
    assert (done.state, done.counts.done) == (S.SUCCEEDED, 3), done.problem
    tried = [call for call in world.calls(since, "arm") if call["method"] == "PATCH"]
    assert [call["status"] for call in tried] == [429, 200, 200, 200]
    first, second = (datetime.fromisoformat(call["at"]) for call in tried[:2])
    assert second - first >= timedelta(seconds=60)


async def test_after_a_429_nobody_calls_before_its_time_and_who_cannot_wait_says_so(world: World) -> None:
    record = await active(world, environments=["dev"])
    throttled(world, 5, 60)
    since = world.position()
    done = await operate(record, "reconcile-tags")
    assert [call["status"] for call in world.calls(since, "arm") if call["method"] == "PATCH"] == [429]
    assert done.state is S.PARKED
    assert done.problem
    assert "Azure asked for a pause" in done.problem.detail
    await world.unpause()
    world.heal()
    again = await operate(record, "reconcile-tags")
    assert again.state is S.SUCCEEDED, again.problem


async def test_more_than_the_share_that_a_rule_may_hit_means_no_write(scene: Scene) -> None:
    file = scene.folder / "guard.yaml"
    file.write_text(RULES.format(mode="act", hour=5000, percent=5, approve=""))
    scene.patch.setattr(guard_rules, "FILE", file)
    record = await active(scene.world, environments=["dev"])
    many_accounts(scene.world, record, 90)
    before = scene.world.position()
    done = await operate(record, "reconcile-tags")
    assert (done.state, writes(scene.world, before)) == (S.REFUSED, 0)
    assert done.problem
    assert done.problem.code == "blast-radius"


async def test_a_second_run_writes_nothing(world: World) -> None:
    record = await active(world, environments=["dev"])
    many_accounts(world, record, 3)
    assert (await operate(record, "reconcile-tags")).counts.done == 4
    before = world.position()
    assert (await operate(record, "reconcile-tags")).state is S.SUCCEEDED
    assert writes(world, before) == 0


async def test_the_first_date_of_a_mark_stays_whatever_the_later_sweeps_find(scene: Scene) -> None:
    play = await staged(scene, "mark-orphans")
    assert (await sweep(play, 0)).counts.done == 1
    [row] = await orphans.of_application(play.record.application)
    shown, before = shown_tags(scene.world, row.resource)[TAG], scene.world.position()
    for number in range(1, 4):
        assert (await sweep(play, number)).counts.done == 0
    assert writes(scene.world, before) == 0
    [later] = await orphans.of_application(play.record.application)
    assert (later.marked_on, later.due) == (row.marked_on, row.due)
    assert shown_tags(scene.world, row.resource)[TAG] == shown


async def test_an_event_whose_write_fails_is_told_kept_and_done_when_somebody_asks_again(scene: Scene) -> None:
    client: Any = Starts()
    play, world = await staged(scene, "reconcile-tags"), scene.world
    assert play.event
    world.fault(system="arm", method="PATCH", path=WRITE, mode="status", status=503, times=None)
    taken = await take_in(client, from_event_grid(play.event))
    failed = await perform(await operations.get(play.record.application, taken.operation))
    assert failed.state is S.PARKED, failed.state
    assert failed.problem
    told = [item async for item in intents.due() if failed.id in item.message.model_dump_json()]
    assert len(told) == 1
    world.heal()
    place = {"name": failed.application, "operation": failed.id}
    headers = {"content-type": "application/json", "idempotency-key": f"retry-{failed.id}"}
    await retry_operation(Call(OPERATOR, place, {}, headers, client, b"{}", "/api"))
    done = await run(play, await operations.get(failed.application, failed.id))
    assert done.state is S.SUCCEEDED, done.problem
    assert await play.look() == play.once


@pytest.mark.parametrize("name", ["reconcile-tags", "remediate-compliance", "rotate-secret"])
async def test_the_same_event_three_times_is_one_write(scene: Scene, name: str) -> None:
    stage = next(stage for stage in STAGES if stage.operation == name)
    client: Any = Starts()
    play = await stage.set(scene)
    assert play.event
    event = from_event_grid(play.event)
    taken = await asyncio.gather(*(take_in(client, event) for _ in range(3)))
    [identifier] = {record.operation for record in taken}
    with watched() as wire:
        done = await run(play, await operations.get(play.record.application, identifier))
        await take_in(client, event)  # a day later
        await run(play, await operations.get(play.record.application, identifier))
    assert done.state is S.SUCCEEDED, done.problem
    assert len(wire.sent) == stage.calls, str(wire)
    assert len(await operations.of_application(play.record.application)) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_an_identity_that_is_refused_ends_the_operation_and_not_the_process(scene: Scene, status: int) -> None:
    play = await staged(scene, "back-up")
    body = {"error": {"code": "InvalidAuthenticationToken", "message": "the token is invalid"}}
    scene.world.fault(system="arm", mode="status", status=status, body=body, times=None)
    done = await operate(play.record, "back-up")
    scene.world.heal()
    assert done.state is S.PARKED
    assert done.problem
    assert done.problem.code == NotAuthorizedError.code
    assert "InvalidAuthenticationToken" in done.problem.detail or "the token is invalid" in done.problem.detail
    assert ActionState.DONE not in {row.state for row in await rows(done)}
    assert await play.look() != play.once
