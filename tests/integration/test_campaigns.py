"""A new version of an archetype comes to the repositories that were made of an older one."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrators.campaign import campaign as flow_of_campaign
from shared import archetypes
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.models.campaigns import CampaignInput, CampaignMember, CampaignRecord, CampaignState, MemberState
from shared.models.records import ApplicationRecord
from shared.models.runs import ActivityInput, Pace
from shared.register import applications, campaigns, requests
from shared.register.audit import Entry
from tests.integration.day2 import Conductor, Timer, WorkerDiedError
from tests.integration.test_shields import WHY, laid
from tests.integration.wire import watched
from tests.integration.world import DurableClient, World, caller, run_of
from triggers._campaign_intake import sweep_campaigns
from triggers._http import Call
from triggers.http_campaigns import cancel_campaign, create_campaign, get_campaign, pause_campaign, resume_campaign

OPERATOR = caller("operator", "Operator")
SKELETON = Path(archetypes.ROOT, "api", "skeleton")
SETTINGS = "[web]\nworkers = 1\n\n[log]\nlevel = info\n\n[cache]\nseconds = 5\n"
CI = """on: pull_request
permissions: {}
jobs:
  test:
    name: Test
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v5
      - run: test ! -e broken
"""
_M = MemberState


class Shop:
    """An archetype with a small skeleton in a folder of its own, and applications made of it."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        shutil.copytree(archetypes.ROOT, folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(folder / "api", folder / "small", dirs_exist_ok=True)
        shutil.rmtree(folder / "small" / "skeleton")
        self._set("archetype.yaml", id="small", version="1.0.0", layers=[])
        for name in ("copier.yml", ".copier-answers.yml.jinja"):
            self.write(name, (SKELETON / name).read_text(encoding="utf-8"))
        self.write("settings.ini", SETTINGS)
        self.write("old.txt", "old\n")
        self.write(".github/workflows/ci.yml", CI)

    def _set(self, name: str, **changes: Any) -> None:
        path = self.folder / "small" / name
        document = yaml.safe_load(path.read_text(encoding="utf-8")) | changes
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        path = self.folder / "small" / "skeleton" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def release(self, version: str = "2.0.0", **files: str) -> None:
        """A new version: another number of workers, a file more, one less."""
        self._set("archetype.yaml", version=version)
        self.write("settings.ini", SETTINGS.replace("workers = 1", f"workers = {version[0]}"))
        self.write("new.txt", f"{version}\n")
        (self.folder / "small" / "skeleton" / "old.txt").unlink(missing_ok=True)
        for name, text in files.items():
            self.write(name, text)

    async def application(self, **changed: str) -> str:
        """An application whose repository was made of the version of now; ``changed`` is what its team did then."""
        record = await self.world.order(archetype="small", monthlyBudget=50)
        for name in ("ensure_repository", "set_content"):
            await self.world.value(name, ActivityInput(run=run_of(record)))
        entry = Entry(f"{record.id}:made", record.created_at, "test", "made", record.id, "test")
        await applications.change(record.application, lambda old: (old.model_copy(update={"state": "active"}), entry))
        if changed:
            self.world.commit(record.application, dict(changed))
        return record.application


@pytest.fixture
async def shop(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path / "archetypes"
    monkeypatch.setenv("ARCHETYPES_FOLDER", str(folder))
    made = Shop(world, folder)
    yield made
    for record in [item async for item in requests.applications() if item.archetype == "small"]:
        await applications.change(record.name, _left)


def _left(old: ApplicationRecord) -> tuple[ApplicationRecord, Entry]:
    """No campaign of another test finds it."""
    entry = Entry(f"{old.name}:left", utc_now(), "test", "left", old.request_id, "test")
    return old.model_copy(update={"state": "left"}), entry


def asked(call: Any, identifier: str, key: str = "", raw: bytes = b"") -> Any:
    client: Any = DurableClient()
    headers = {"idempotency-key": key, "content-type": "application/json"}
    return call(Call(OPERATOR, {"id": identifier}, {}, headers, client, raw, "/api/campaigns"))


async def begin(key: str, raw: bytes = b"") -> CampaignRecord:
    answer = await asked(create_campaign, "small", key, raw)
    assert answer.status == 202
    return await campaigns.get(answer.document["id"])


class Waiting(Conductor):
    """Timers take a moment of real time: the checks run meanwhile."""

    async def _answer(self, task: Any) -> Any:
        if isinstance(task, Timer):
            await asyncio.sleep(0.2)
        return await super()._answer(task)


async def carry_out(record: CampaignRecord, **how: Any) -> CampaignRecord:
    """Run the orchestration to its end."""
    pace = Pace(run_minutes=600)
    payload = CampaignInput(request_id=record.id, application=record.id, attempt=record.attempt, pace=pace)
    conductor: Any = Waiting(dict(payload.document()), **how)
    flow = flow_of_campaign(conductor, payload)
    await conductor.perform(flow)
    return await campaigns.get(record.id)


async def states(record: CampaignRecord) -> dict[str, CampaignMember]:
    return {member.application: member for member in await campaigns.members(record.id)}


def pulls(world: World, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.github(f"/repos/contoso/{name}/pulls?state=all")
    return found


def text_of(world: World, name: str, path: str, reference: str) -> str | None:
    import base64  # noqa: PLC0415 - only here

    found = world.github(f"/repos/contoso/{name}/contents/{path}?ref={reference}")
    return base64.b64decode(found["content"]).decode() if found else None


OURS = {"settings.ini": SETTINGS.replace("workers = 1", "workers = 9")}
BESIDE = {"settings.ini": SETTINGS.replace("seconds = 5", "seconds = 7"), "app.py": "print(1)\n"}


async def _fleet(shop: Shop, count: int, changes: Callable[[int], dict[str, str]]) -> list[str]:
    return [await shop.application(**changes(number)) for number in range(count)]


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_twenty_applications_of_which_three_are_in_conflict(world: World, shop: Shop) -> None:
    fleet = await _fleet(shop, 20, lambda number: OURS if number in (4, 9, 17) else BESIDE if number % 2 else {})
    shop.release()
    record = await carry_out(await begin("twenty"), twice=True)
    assert record.state is CampaignState.SUCCEEDED, record.problem
    found = await states(record)
    assert {name for name, member in found.items() if member.state is _M.CONFLICT} == {fleet[4], fleet[9], fleet[17]}
    assert [member.state for member in found.values()].count(_M.PASSED) == 17
    assert sorted({member.wave for member in found.values()}) == [0, 1, 2]
    assert [sum(member.wave == wave for member in found.values()) for wave in range(3)] == [1, 1, 18]
    for number, name in enumerate(fleet):
        (pull,) = pulls(world, name)
        labels = {label["name"] for label in pull["labels"]}
        text = text_of(world, name, "settings.ini", pull["head"]["sha"]) or ""
        marked = number in (4, 9, 17)
        assert (pull["draft"], "template-conflict" in labels, "<<<<<<< " in text) == (marked, marked, marked)
        assert (text.count("workers = 2"), text.count("seconds = 7")) == (1, 0 if marked else number % 2)
        assert text_of(world, name, "new.txt", pull["head"]["sha"]) == "2.0.0\n"
        assert text_of(world, name, "old.txt", pull["head"]["sha"]) is None


async def test_a_canary_whose_checks_fail_stops_it_and_it_goes_on_when_resumed(world: World, shop: Shop) -> None:
    fleet = sorted(await _fleet(shop, 3, lambda _: {}))  # the campaign's own order
    shop.release(broken="the checks do not like this\n")
    record = await carry_out(await begin("canary"))
    assert record.state is CampaignState.STOPPED
    assert record.problem is not None
    assert "Test failed" in record.problem.detail
    assert [pulls(world, name) != [] for name in fleet] == [True, False, False], "only the canary was touched"
    with pytest.raises(Exception, match="Too late to pause"):
        await asked(pause_campaign, record.id)
    resumed = await campaigns.get((await asked(resume_campaign, record.id)).document["id"])
    assert (resumed.state, resumed.attempt) == (CampaignState.RUNNING, 2)
    assert (await carry_out(record)).state is CampaignState.RUNNING, "the first attempt is over"
    paused = await campaigns.get((await asked(pause_campaign, record.id)).document["id"])
    assert (await carry_out(paused)).state is CampaignState.PAUSED
    assert pulls(world, fleet[1]) == []
    assert (await asked(cancel_campaign, record.id)).document["state"] == "cancelled"


@pytest.mark.parametrize("how", ["status_after", "drop_after"])
@pytest.mark.parametrize("path", ["/pulls", "/git/refs", "/git/commits", "/labels"])
async def test_lost_answers_leave_one_branch_and_one_pull_request(
    world: World, shop: Shop, how: str, path: str
) -> None:
    name = await shop.application(**OURS)
    shop.release()
    world.fault(method="POST", path=f"{name}.*{path}$", system="*", mode=how, status=500, times=1)
    record = await carry_out(await begin(f"lost{how}{path}"), twice=True)
    assert record.state is CampaignState.SUCCEEDED, record.problem
    (pull,) = pulls(world, name)
    assert pull["draft"]


async def test_killed_after_any_activity_it_goes_on(world: World, shop: Shop) -> None:
    name = await shop.application()
    shop.release()
    record = await begin("killed")
    for number in range(1, 4):
        with pytest.raises(WorkerDiedError):
            await carry_out(record, dies_after=number)
    done = await carry_out(record)
    assert done.state is CampaignState.SUCCEEDED, done.problem
    assert len(pulls(world, name)) == 1


@pytest.mark.long
async def test_the_next_version_is_merged_on_the_basis_of_the_last_one_that_was_merged(
    world: World, shop: Shop
) -> None:
    name = await shop.application(**BESIDE)
    shop.release()
    await carry_out(await begin("first"))
    (pull,) = pulls(world, name)
    world.github(f"/repos/contoso/{name}/pulls/{pull['number']}/merge", "PUT", {"merge_method": "squash"})
    looked = await carry_out(await begin("none"))
    assert [member.state for member in (await states(looked)).values()] == [_M.CURRENT]
    with pytest.raises(RequestRejectedError, match="Every application"):
        await begin("known")  # the register has learned of it
    shop.release("3.0.0")
    record = await carry_out(await begin("second"))
    (member,) = (await states(record)).values()
    assert (member.state, member.from_version) == (_M.PASSED, "2.0.0")
    newest = pulls(world, name)[0]
    text = text_of(world, name, "settings.ini", newest["head"]["sha"]) or ""
    assert ("workers = 3" in text, "seconds = 7" in text, "<<<<<<<" in text) == (True, True, False)


async def test_asked_twice_it_is_one_and_with_nothing_to_do_it_is_refused(shop: Shop) -> None:
    name = await shop.application()
    with pytest.raises(RequestRejectedError, match="Every application"):
        await begin("nothing")
    shop.release()
    first, again = await begin("same"), await begin("same")
    assert first == again
    with pytest.raises(RequestRejectedError, match="same key"):
        await begin("same", b'{"reason": "other"}')
    shown = (await asked(get_campaign, first.id)).document
    assert [item["application"] for item in shown["applications"]] == [name]
    await asked(cancel_campaign, first.id)


async def test_an_archetype_that_changed_meanwhile_is_not_brought(world: World, shop: Shop) -> None:
    name = await shop.application()
    shop.release()
    record = await begin("moved")
    shop.write("new.txt", "something else\n")
    stopped = await carry_out(record)
    assert stopped.state is CampaignState.STOPPED
    assert pulls(world, name) == []


class _Started(DurableClient):
    """Remembers what was started."""

    def __init__(self) -> None:
        self.started: list[str] = []

    async def start_new(self, name: str, instance: str, _payload: dict[str, Any]) -> str:
        self.started.append(f"{name} {instance}")
        return instance


async def test_one_that_nobody_started_is_started_by_the_sweep(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.application()
    shop.release()
    record = await begin("orphan")
    client = _Started()
    await sweep_campaigns(client)
    assert record.instance_id not in str(client.started), "it may be on its way"
    monkeypatch.setattr("triggers._campaign_intake.ORPHAN_SECONDS", -1)
    await sweep_campaigns(client)
    assert f"campaign {record.instance_id}" in client.started
    await asked(cancel_campaign, record.id)


SHIELDS = ["kill-switch", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("freeze", "exemption", "hold"))]


@pytest.mark.parametrize("kind", SHIELDS)
async def test_a_shield_means_no_call(world: World, shop: Shop, kind: str) -> None:
    name = await shop.application()
    application = await requests.application(name)
    assert application
    shop.release()
    record = await begin(f"shield-{kind}")
    async with laid(kind, world, await requests.get(name, application.request_id)):
        with watched() as wire:
            done = await carry_out(record)
    assert wire.sent == []
    [member] = (await states(record)).values()
    if kind != "kill-switch":
        assert (member.state, done.state, WHY[kind] in member.detail) == (_M.SKIPPED, CampaignState.SUCCEEDED, True)
        return
    assert (member.state, done.state) == (_M.PLANNED, CampaignState.STOPPED)
    assert done.problem
    assert WHY[kind] in done.problem.detail
    resumed = await campaigns.get((await asked(resume_campaign, record.id)).document["id"])
    assert (await carry_out(resumed)).state is CampaignState.SUCCEEDED
    assert len(pulls(world, name)) == 1
