"""What a detection leaves behind: one finding and one issue for each difference, however often anything is repeated."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shared.clock import utc_now
from shared.drift_proposals import LABEL
from shared.models.controls import KillSwitch
from shared.models.drift import FindingState
from shared.models.operations import OperationRecord, OperationState, Wave
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput
from shared.register import controls, findings, operations, requests
from tests.integration.day2 import active, rows
from tests.integration.detections import Detection, group, manager, owner, size, tag
from tests.integration.world import INFRASTRUCTURE, DurableClient, World
from triggers.timer_drift import start_due


@pytest.fixture
async def application(world: World) -> RequestRecord:
    return await owner(world)


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
    more = group(application, {"managed_by": "/subscriptions/x", "tags": tag(application)[0]["before"]["tags"]})
    await world.value("list_reconciliation", detection.found(more, "plan"))
    await world.value("judge_operation", ActivityInput(run=detection.run))
    operation = await operations.get(application.application, detection.operation.id)
    assert (operation.state, await rows(operation)) == (OperationState.SUCCEEDED, [])


@pytest.mark.parametrize("action", ["replace", "delete"])
async def test_a_repair_never_removes_what_holds_data(world: World, application: RequestRecord, action: str) -> None:
    """No recovery point outlives its server: whoever approved it could not have it back."""
    there = {"replace": manager(application)[0], "delete": {**size()[0], "after": None}}
    lost = [{**there[action], "action": action}]
    detection = await Detection.begin(world, application, parameters={"reconcile": "all"})
    assert (await world.value("read_drift", detection.found(size())))["reconcile"]
    outcome = await world.run("list_reconciliation", detection.found(lost, "plan"))
    assert not outcome.ok
    assert outcome.problem
    assert (outcome.problem.code, "PLN-007" in outcome.problem.rules) == ("policy-denied", True), outcome.problem
    assert "A repair never does that" in outcome.problem.detail
    assert await rows(detection.operation) == []


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
