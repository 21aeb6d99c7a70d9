"""What somebody else made stays as it is: no adoption, no overwriting, no removal."""

from typing import Any

import pytest

from shared.clock import utc_now
from shared.models.controls import Exemption, FreezeRecord, LegalHold, Scope
from shared.models.runs import ActivityInput
from shared.outcome import Outcome, OutcomeStatus
from shared.register import controls
from shared.register.audit import Entry
from tests.boards import create_project, devops, projects, stories, team
from tests.integration.scenes import AKS, namespace_id
from tests.integration.world import World, run_of

FOREIGN: tuple[dict[str, str], ...] = ({}, {"appstore-request-id": "req-somebody"})


def _require_conflict(outcome: Outcome) -> None:
    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.problem is not None
    assert outcome.problem.code == "integration-conflict"


@pytest.mark.parametrize("properties", FOREIGN, ids=["unmarked", "of another request"])
async def test_a_repository_made_by_somebody_else_is_a_conflict_and_stays(
    world: World, properties: dict[str, str]
) -> None:
    record = await world.order()
    name = record.application
    wanted = {"name": name, "visibility": "internal", "auto_init": True, "custom_properties": properties}
    world.github("/orgs/contoso/repos", "POST", wanted)
    head = world.commit(name, {"precious.txt": "mine"})
    before = world.github(f"/repos/contoso/{name}")
    began = world.position()
    outcome = await world.run("ensure_repository", ActivityInput(run=run_of(record)))
    _require_conflict(outcome)
    assert name in str(outcome.problem)
    removed = await world.value("remove_repository", ActivityInput(run=run_of(record, "undo", undo=True)))
    assert "stays" in removed["detail"]
    assert world.github(f"/repos/contoso/{name}") == before
    assert world.github(f"/repos/contoso/{name}/git/ref/heads/main")["object"]["sha"] == head
    assert not [entry for entry in world.calls(began, "github") if entry["mutating"] and name in entry["url"]]


async def test_a_board_made_by_somebody_else_is_a_conflict_and_stays(world: World) -> None:
    record = await world.order()
    await world.value("ensure_repository", ActivityInput(run=run_of(record)))
    create_project(world.stack, record.application)
    before = projects(world.stack, record.application)
    outcome = await world.run("ensure_board", ActivityInput(run=run_of(record, "board")))
    _require_conflict(outcome)
    await world.value("remove_board", ActivityInput(run=run_of(record, "undo", undo=True)))
    assert projects(world.stack, record.application) == before


@pytest.mark.parametrize("description", ["", "appstore:req-somebody"], ids=["unmarked", "of another request"])
async def test_a_team_made_by_somebody_else_is_a_conflict_and_stays(world: World, description: str) -> None:
    with world.board_system("azure_boards"):
        record = await world.order()
    body = {"name": record.application, "description": description}
    made = devops(world.stack, "/_apis/projects/Applications/teams", "POST", body)
    outcome = await world.run("ensure_board", ActivityInput(run=run_of(record, "board")))
    _require_conflict(outcome)
    await world.value("remove_board", ActivityInput(run=run_of(record, "undo", undo=True)))
    assert team(world.stack, record.application) == made


async def test_what_people_made_of_a_board_is_kept(world: World) -> None:
    """Another try of the step leaves columns and places alone, and undo moves the items of others to the root area."""
    with world.board_system("azure_boards"):
        record = await world.order()
    payload = ActivityInput(run=run_of(record, "board"))
    for step in ("ensure_board", "ensure_work_items"):
        await world.value(step, payload)
    area = f"{record.application}-{record.id}"
    board = f"/Applications/{record.application}/_apis/work/boards/Stories"
    shown = devops(world.stack, board)
    renamed = [column | {"name": f"{column['name']}!"} for column in shown["columns"]]
    devops(world.stack, f"{board}/columns", "PUT", renamed)
    theirs = [
        {"op": "add", "path": "/fields/System.Title", "value": "Ours, not the App Store's"},
        {"op": "add", "path": "/fields/System.AreaPath", "value": f"Applications\\{area}"},
    ]
    number = devops(world.stack, "/Applications/_apis/wit/workitems/$User%20Story", "POST", theirs)["id"]
    before = stories(world.stack, area)
    await world.forget("ensure_work_items", payload)
    await world.value("ensure_work_items", payload)
    assert devops(world.stack, board)["columns"] == renamed
    assert stories(world.stack, area) == before
    await world.value("remove_board", ActivityInput(run=run_of(record, "undo", undo=True)))
    assert stories(world.stack, area) == []
    (kept,) = devops(world.stack, f"/Applications/_apis/wit/workitems?ids={number}")["value"]
    assert kept["fields"]["System.AreaPath"] == "Applications"


@pytest.mark.parametrize("tags", FOREIGN, ids=["unmarked", "of another request"])
async def test_a_namespace_made_by_somebody_else_is_a_conflict_and_stays(world: World, tags: dict[str, str]) -> None:
    record = await world.order()
    place = namespace_id(record)
    body = {"location": "westeurope", "tags": tags, "properties": {"labels": {"team": "web"}}}
    world.azure(place, AKS, "PUT", body)
    began = world.position()
    run = run_of(record, "environment", "dev")
    _require_conflict(await world.run("ensure_namespace", ActivityInput(run=run)))
    removed = await world.value("remove_namespace", ActivityInput(run=run_of(record, "undo", "dev", undo=True)))
    assert "stays" in removed["detail"]
    found = world.azure(place, AKS)
    assert (found.get("tags") or {}) == tags
    assert found["properties"]["labels"] == {"team": "web"}
    assert not [entry for entry in world.calls(began, "arm") if entry["mutating"]]


@pytest.mark.parametrize("files", [{"app.py": "print()"}, {"README.md": "# Read this\n"}], ids=["new file", "readme"])
async def test_content_that_somebody_pushed_is_not_overwritten(world: World, files: dict[str, str]) -> None:
    record = await world.order()
    payload = ActivityInput(run=run_of(record))
    await world.value("ensure_repository", payload)
    head = world.commit(record.application, files)
    _require_conflict(await world.run("set_content", payload))
    place = f"/repos/contoso/{record.application}/git/ref/heads/main"
    assert world.github(place)["object"]["sha"] == head


async def test_commits_after_the_skeleton_are_not_overwritten_by_a_repeat(world: World) -> None:
    record = await world.order()
    payload = ActivityInput(run=run_of(record))
    await world.value("ensure_repository", payload)
    await world.value("set_content", payload)
    head = world.commit(record.application, {"work.txt": "done"})
    await world.forget("set_content", payload)
    _require_conflict(await world.run("set_content", payload))
    place = f"/repos/contoso/{record.application}/git/ref/heads/main"
    assert world.github(place)["object"]["sha"] == head


@pytest.mark.long
async def test_a_repository_that_is_still_empty_is_tried_again(world: World) -> None:
    record = await world.order()
    payload = ActivityInput(run=run_of(record))
    await world.value("ensure_repository", payload)
    empty = {"message": "Git Repository is empty.", "status": "409"}
    world.fault(method="POST", path=r"/git/trees$", mode="status", status=409, body=empty)
    assert (await world.insist("set_content", payload)).ok


async def test_what_is_gone_already_is_removed(world: World) -> None:
    record = await world.order()
    for name in ("remove_repository", "remove_namespace", "remove_infrastructure_change"):
        run = run_of(record, "undo", None if name == "remove_repository" else "dev", undo=True)
        assert (await world.run(name, ActivityInput(run=run))).ok


@pytest.mark.parametrize("shield", ["hold", "freeze", "exemption"])
async def test_undo_takes_nothing_away_that_a_shield_keeps(world: World, shield: str) -> None:
    record = await world.order()
    await world.value("ensure_repository", ActivityInput(run=run_of(record)))
    await world.value("ensure_namespace", ActivityInput(run=run_of(record, "environment", "dev")))
    at, later = utc_now(), "2099-01-01T00:00:00.000Z"
    own: dict[str, Any] = {"id": f"{shield}-{record.id}", "reason": "test", "at": at}
    own["scope"] = Scope(application=record.application)
    entry = Entry(f"{shield}-{record.id}", at, "test", shield, record.id, "test")
    match shield:
        case "hold":
            await controls.declare(LegalHold(**own, actor="a", actor_name="a"), entry)
        case "freeze":
            await controls.declare(FreezeRecord(**own, actor="a", actor_name="a", begins=at, ends=later), entry)
        case _:
            given: dict[str, Any] = {"owner": "a", "owner_name": "a", "approver": "b", "expires_at": later}
            await controls.declare(Exemption(**own, **given), entry)
    before = world.position()
    for name, environment in (("remove_namespace", "dev"), ("remove_repository", None)):
        outcome = await world.run(name, ActivityInput(run=run_of(record, "undo", environment, undo=True)))
        assert outcome.problem
        assert outcome.problem.code == "guard-refused"
    assert not [call for call in world.calls(before) if call["method"] != "GET" and call["system"] in ("arm", "github")]
