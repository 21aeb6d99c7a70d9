"""What a detection leaves behind: one finding and one issue for each difference, however often anything is repeated."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from activities.drift_items import LABEL
from local.sign_in import identity_token
from shared.clock import utc_now
from shared.instance_ids import iac_run
from shared.models.controls import KillSwitch
from shared.models.drift import FindingRecord, FindingState, ReadDrift
from shared.models.operations import OperationRecord, OperationState, Wave
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, PipelineRun, Run
from shared.register import controls, findings, operations, requests
from shared.tagging import required_tags
from tests.integration.day2 import active, ask, rows
from tests.integration.world import INFRASTRUCTURE, DurableClient, World
from triggers.timer_drift import start_due

SIZE = "module.environment.azurerm_postgresql_flexible_server.this[0]"
GROUP = "module.environment.azurerm_resource_group.this"
PIPELINE = PipelineRun(repository="infrastructure", run_id=1, status="completed", conclusion="success")


def size(there: str = "B_Standard_B2s") -> list[dict[str, Any]]:
    return [_change(SIZE, "azurerm_postgresql_flexible_server", {"sku_name": there}, {"sku_name": "B_Standard_B1ms"})]


def tag(record: RequestRecord) -> list[dict[str, Any]]:
    return _group(record, {"tags": {**required_tags(record, "dev"), "criticality": "none"}})


def manager(record: RequestRecord) -> list[dict[str, Any]]:
    return _group(record, {"managed_by": "/subscriptions/x"})


def _group(record: RequestRecord, there: dict[str, Any]) -> list[dict[str, Any]]:
    code = {"location": "westeurope", "managed_by": None, "tags": required_tags(record, "dev")}
    return [_change(GROUP, "azurerm_resource_group", {**code, **there}, code)]


def _change(address: str, kind: str, before: Any, after: Any) -> dict[str, Any]:
    paths: dict[str, Any] = {"unknownPaths": [], "replacePaths": []}
    return {"address": address, "type": kind, "action": "update", "before": before, "after": after, **paths}


class Detection:
    """One detection whose pipeline run has left its artefacts."""

    def __init__(self, world: World, operation: OperationRecord) -> None:
        self._world, self.operation = world, operation
        self.run = Run(
            request_id=operation.id, application=operation.application, branch="operation", environment="dev"
        )

    @classmethod
    async def begin(cls, world: World, record: RequestRecord, **fields: Any) -> "Detection":
        operation = await ask(record, "detect-drift", environment="dev", **fields)
        found = cls(world, operation)
        await world.value("begin_operation", ActivityInput(run=found.run))
        return found

    def found(self, changes: list[dict[str, Any]], action: str = "drift") -> ReadDrift:
        """Leave what the runner writes."""
        run_id = iac_run(self.operation.id, "dev", action, "1")
        back = [{**item, "before": item["after"], "after": item["before"]} for item in changes]
        counts = {"create": 0, "update": len(changes), "replace": 0, "delete": 0, "noop": 0}
        change_set = {"engine": "terraform", "toolVersion": "1.15.5", "summary": counts, "outputs": {}}
        content = json.dumps({**change_set, "changes": changes, "drift": back}).encode()
        digest = hashlib.sha256(content).hexdigest()
        result: dict[str, Any] = {
            "run_id": run_id,
            "action": action,
            "status": "succeeded",
            "problem": None,
            "outputs": {},
        }
        self._put(f"{run_id}/changeset.json", content)
        result |= {"changeset_sha256": digest, "plan_sha256": None if action == "drift" else "a" * 64}
        self._put(f"{run_id}/result.json", json.dumps(result).encode())
        return ReadDrift(run=self.run, run_id=run_id, pipeline=PIPELINE, commit="c" * 40)

    def _put(self, name: str, content: bytes) -> None:
        stack = self._world.stack
        place = f"https://{stack.settings['TERRAFORM_STATE_ACCOUNT']}.blob.core.windows.net/plans"
        headers = {"Authorization": f"Bearer {identity_token(stack, 'https://storage.azure.com/')}"}
        headers |= {"x-ms-version": "2023-11-03", "x-ms-blob-type": "BlockBlob"}
        stack.vendors.put(f"{place}?restype=container", headers=headers)
        answer = stack.vendors.put(f"{place}/{name}", content=content, headers=headers)
        assert answer.status_code == httpx.codes.CREATED, answer.text

    async def settle(self, changes: list[dict[str, Any]]) -> list[FindingRecord]:
        """Read what was found and bring the issues into line."""
        await self._world.value("read_drift", self.found(changes))
        await self._world.value("ensure_drift_items", ActivityInput(run=self.run))
        return await findings.of_application(self.operation.application)


@pytest.fixture
async def application(world: World) -> RequestRecord:
    record = await active(world)
    world.github("/orgs/contoso/repos", "POST", {"name": record.application, "auto_init": True})
    return record


def issues(world: World, record: RequestRecord) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.github(f"/repos/contoso/{record.application}/issues?state=all&labels={LABEL}")
    return found


async def test_found_again_it_is_the_same_and_gone_it_closes_and_back_it_opens_the_same_issue(
    world: World, application: RequestRecord
) -> None:
    for _ in range(2):
        (finding,) = await (await Detection.begin(world, application)).settle(size())
        assert (finding.state, finding.times) == (FindingState.OPEN, 1)
    (issue,) = issues(world, application)
    assert finding.item is not None
    assert (issue["number"], issue["state"]) == (finding.item.number, "open")
    assert {label["name"] for label in issue["labels"]} == {"drift", "drift-high"}
    (finding,) = await (await Detection.begin(world, application)).settle([])
    assert finding.state is FindingState.CLOSED
    assert [(item["state"], item["state_reason"]) for item in issues(world, application)] == [("closed", "completed")]
    (finding,) = await (await Detection.begin(world, application)).settle(size())
    assert (finding.state, finding.times) == (FindingState.OPEN, 2)
    assert [item["state"] for item in issues(world, application)] == ["open"], "the same one, not a second"


async def test_an_older_detection_that_ends_late_does_not_overrule_a_newer_one(
    world: World, application: RequestRecord
) -> None:
    older = await Detection.begin(world, application)
    await asyncio.sleep(0.002)  # the times of the register have milliseconds
    newer = await Detection.begin(world, application)
    await newer.settle(size())
    (finding,) = await older.settle([])
    assert finding.state is FindingState.OPEN


@pytest.mark.parametrize("how", ["status_after", "drop_after", "drop_before", "status"])
async def test_a_lost_answer_makes_no_second_issue(world: World, application: RequestRecord, how: str) -> None:
    detection = await Detection.begin(world, application)
    await world.value("read_drift", detection.found(size()))
    world.fault(system="github_issues", method="POST", path="/issues", mode=how, status=500, times=1)
    assert (await world.insist("ensure_drift_items", ActivityInput(run=detection.run))).ok
    assert (await world.insist("ensure_drift_items", ActivityInput(run=detection.run))).ok
    assert len(issues(world, application)) == 1


async def test_two_at_once_leave_one_open_issue(world: World, application: RequestRecord) -> None:
    detection = await Detection.begin(world, application)
    await world.value("read_drift", detection.found(size()))
    payload = ActivityInput(run=detection.run)
    await asyncio.gather(*(world.run("ensure_drift_items", payload) for _ in range(3)))
    await world.value("ensure_drift_items", payload)
    assert [item["state"] for item in issues(world, application)].count("open") == 1


async def test_a_dry_run_writes_nothing(world: World, application: RequestRecord) -> None:
    detection = await Detection.begin(world, application, dry_run=True)
    await world.value("read_drift", detection.found(size()))
    assert await findings.of_application(application.application) == []
    operation = await operations.get(application.application, detection.operation.id)
    assert [item["attribute"] for item in operation.facts["findings"]] == ["sku_name"]


async def test_an_artefact_that_somebody_changed_is_not_believed(world: World, application: RequestRecord) -> None:
    detection = await Detection.begin(world, application)
    reading = detection.found(size())
    detection._put(f"{reading.run_id}/changeset.json", b'{"changes": [], "drift": []}')
    outcome = await world.run("read_drift", reading)
    assert not outcome.ok
    assert await findings.of_application(application.application) == []


@pytest.mark.parametrize(
    ("wanted", "there", "rule", "state"),
    [
        ("safe", tag, "reconcile-drift", OperationState.ACTING),
        ("safe", manager, None, OperationState.SUCCEEDED),
        ("all", manager, "repair-drift", OperationState.AWAITING_APPROVAL),
        ("none", tag, None, OperationState.SUCCEEDED),
    ],
)
async def test_only_what_is_safe_is_put_right_without_a_person(  # noqa: PLR0917 - the columns of the table
    world: World,
    application: RequestRecord,
    wanted: str,
    there: Callable[[RequestRecord], list[dict[str, Any]]],
    rule: str | None,
    state: OperationState,
) -> None:
    changes = there(application)
    detection = await Detection.begin(world, application, parameters={"reconcile": wanted})
    found = await world.value("read_drift", detection.found(changes))
    if found["reconcile"]:
        await world.value("list_reconciliation", detection.found(changes, "plan"))
        await world.value("list_reconciliation", detection.found(changes, "plan"))
    await world.value("judge_operation", ActivityInput(run=detection.run))
    operation = await operations.get(application.application, detection.operation.id)
    assert operation.state is state, operation.problem
    planned = await rows(operation)
    assert [row.action.rule for row in planned] == ([rule] if rule else [])
    assert all(row.action.facts["plan_sha256"] == "a" * 64 for row in planned), "bound to the very plan"


async def test_what_differs_more_than_was_found_is_not_put_right(world: World, application: RequestRecord) -> None:
    detection = await Detection.begin(world, application)
    assert (await world.value("read_drift", detection.found(tag(application))))["reconcile"]
    more = _group(application, {"managed_by": "/subscriptions/x", "tags": tag(application)[0]["before"]["tags"]})
    await world.value("list_reconciliation", detection.found(more, "plan"))
    await world.value("judge_operation", ActivityInput(run=detection.run))
    operation = await operations.get(application.application, detection.operation.id)
    assert (operation.state, await rows(operation)) == (OperationState.SUCCEEDED, [])


@pytest.mark.parametrize("how", ["status_after", "drop_after"])
async def test_a_lost_answer_applies_no_second_time_and_the_findings_close(
    world: World, application: RequestRecord, how: str
) -> None:
    detection = await Detection.begin(world, application)
    await world.value("read_drift", detection.found(tag(application)))
    await world.value("list_reconciliation", detection.found(tag(application), "plan"))
    await world.value("judge_operation", ActivityInput(run=detection.run))
    applied = detection.found([], "apply")  # the runner finds that this run has ended before
    world.fault(system="github", method="POST", path="dispatches", mode=how, status=500, times=1)
    wave = Wave(run=detection.run.model_copy(update={"branch": "wave-0"}), wave=0)
    first = await world.insist("set_reconciliation", wave)
    await world.forget("set_reconciliation", wave)
    again = await world.value("set_reconciliation", wave)
    assert first.value is not None
    assert first.value["pipeline"]["runId"] == again["pipeline"]["runId"]
    listed = world.github(f"{INFRASTRUCTURE}/actions/workflows/iac.yml/runs?per_page=100")["workflow_runs"]
    assert [run["display_title"] for run in listed].count(f"iac {applied.run_id}") == 1
    await world.value("read_reconciliation", applied)
    (finding,) = await findings.of_application(application.application)
    assert finding.state is FindingState.CLOSED


async def test_an_apply_of_another_plan_closes_nothing(world: World, application: RequestRecord) -> None:
    detection = await Detection.begin(world, application)
    await world.value("read_drift", detection.found(tag(application)))
    assert not (await world.run("read_reconciliation", detection.found([], "apply"))).ok
    (finding,) = await findings.of_application(application.application)
    assert finding.state is FindingState.OPEN


async def test_the_kill_switch_keeps_the_apply_back(world: World, application: RequestRecord) -> None:
    detection = await Detection.begin(world, application)
    await world.value("read_drift", detection.found(tag(application)))
    await world.value("list_reconciliation", detection.found(tag(application), "plan"))
    await world.value("judge_operation", ActivityInput(run=detection.run))
    switch = KillSwitch(on=True, reason="test", actor="operator", at=application.created_at)
    await controls.set_kill_switch(switch)
    try:
        started = await world.run("set_reconciliation", Wave(run=detection.run, wave=0))
    finally:
        await controls.set_kill_switch(switch.model_copy(update={"on": False, "at": utc_now()}))
    assert not (started.value or {}).get("pipeline")


async def test_every_environment_is_compared_once_a_day_and_a_few_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await active(world, environments=["dev", "qa"], monthlyBudget=2000)
    name, client = record.application, DurableClient()

    async def only(*_: Any) -> Any:
        yield await requests.application(name)

    monkeypatch.setattr("triggers.timer_drift.requests.applications", only)

    async def asked() -> list[OperationRecord]:
        found = await operations.of_application(name)
        return sorted(found, key=lambda item: item.created_at)

    async def running(*_: Any) -> Any:
        for item in await asked():
            if item.state is OperationState.RECEIVED:
                yield item

    monkeypatch.setattr("triggers.timer_drift.operations.in_states", running)
    assert await start_due(client, "2026-11-26", 0) == 0
    assert await start_due(client, "2026-11-26", 1) == 1
    assert await start_due(client, "2026-11-26", 1) == 0, "there is no room"
    assert await start_due(client, "2026-11-26", 5) == 1
    assert await start_due(client, "2026-11-26", 5) == 0, "each once a day"
    assert [item.environment for item in await asked()] == ["dev", "qa"]
    assert await start_due(client, "2026-11-27", 9) == 2, "however yesterday's ended"
