"""What the rows say about an attempt becomes its trace and its metrics; activities tell of themselves."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from shared.errors import TransientIntegrationError
from shared.models.problem import Problem
from shared.models.records import (
    ClaimRecord,
    ClaimState,
    Decision,
    DecisionRecord,
    RequestRecord,
    RequestState,
    StepRecord,
    StepState,
)
from shared.models.runs import ActivityInput, FinishRequest, ParkRequest, Run
from shared.register import claims, requests, run_ends, steps
from shared.register._table import Write, commit, document_of
from shared.register.audit import Entry
from shared.telemetry import ids
from tests.integration.world import DurableClient, World, run_of
from tests.recorder import Recorder, recording
from triggers import timer_sweep

_S = RequestState
BEGIN = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # the hour that Europe has twice


@pytest.fixture
def told(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    assert world
    with recording(monkeypatch) as recorder:
        yield recorder


def _at(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(span: ReadableSpan) -> tuple[float, float]:
    begin = BEGIN.timestamp()
    return round((span.start_time or 0) / 1e9 - begin, 3), round((span.end_time or 0) / 1e9 - begin, 3)


def _parent(span: ReadableSpan) -> int:
    return span.parent.span_id if span.parent else 0


async def _move(record: RequestRecord, new: RequestState, **more: Any) -> RequestRecord:
    entry = Entry(f"{record.id}:{new}:{more.get('attempt', record.attempt)}", _at(0), "somebody", new, record.id, "")
    return await requests.transition(
        record.application,
        record.id,
        lambda old: old.model_copy(update={"state": new} | more),
        entry,
        expect=list(_S),
    )


async def _step(record: RequestRecord, name: str, branch: str, start: float, end: float, **more: Any) -> None:
    environment = more.pop("environment", "dev")
    row = StepRecord(
        request_id=record.id,
        name=name,
        branch=branch,
        environment=environment,
        state=more.pop("state", StepState.DONE),
        started_at=_at(start),
        tried_at=_at(more.pop("tried", start)),
        finished_at=_at(end),
        run_attempt=more.pop("attempt", 1),
        **more,
    )
    run = run_of(record, branch, environment).model_copy(update={"attempt": row.run_attempt})
    await steps.write(run, row)


def _approval(record: RequestRecord, at: float, decision: Decision = Decision.APPROVE) -> DecisionRecord:
    return DecisionRecord(
        request_id=record.id, decision=decision, actor="a", actor_name="a", decided_at=_at(at), roles=["Approver"]
    )


async def _provisioning(world: World) -> RequestRecord:
    record = await world.order()
    record = record.model_copy(update={"created_at": _at(0)})
    await _step(record, "read_plan_result", "plan", 1, 5)
    await _move(record, _S.PLANNING)
    await _move(record, _S.AWAITING_APPROVAL)
    approved = {"approvals": [_approval(record, 100)], "approved_digest": "d" * 64, "created_at": _at(0)}
    return await _move(record, _S.PROVISIONING, **approved)


async def test_the_end_of_an_attempt_tells_its_span_its_branches_and_its_times(world: World, told: Recorder) -> None:
    record = await _provisioning(world)
    await _step(record, "ensure_repository", "source", 101, 103, environment=None)
    await _step(record, "set_content", "source", 103, 106, environment=None)
    await _step(record, "start_apply", "environment", 101, 140)
    assert told.spans("onboard") == []  # nothing has ended yet
    ended = await _move(record, _S.SUCCEEDED)
    run = told.span("onboard")
    assert run.context is not None
    assert (run.context.trace_id, run.context.span_id) == (ids.trace_of(record.id), ids.root_of(record.id))
    assert _parent(run) == 0
    assert _seconds(run)[0] == 0
    assert run.end_time == int(datetime.fromisoformat(ended.updated_at).timestamp() * 1000) * 1_000_000
    branches = {span.name: span for span in told.spans() if _parent(span) == ids.root_of(record.id)}
    assert {name: _seconds(span) for name, span in branches.items()} == {
        "source": (101, 106),
        "environment dev": (101, 140),
        "plan dev": (1, 5),
        "wait for approval": (5, 100),
    }
    source = Run(request_id=record.id, application=record.application, branch="source")
    assert branches["source"].context is not None
    assert branches["source"].context.span_id == ids.branch_span(source)
    ((labels, point),) = told.points("appstore.provision.duration")
    assert labels == {"appstore.archetype": "api", "appstore.environment": "dev", "appstore.outcome": "succeeded"}
    assert (point.count, point.sum) == (1, pytest.approx(40))
    ((labels, point),) = told.points("appstore.request.duration")
    assert labels == {"appstore.archetype": "api", "appstore.run": "onboard", "appstore.outcome": "succeeded"}
    assert point.sum == pytest.approx((datetime.fromisoformat(ended.updated_at) - BEGIN).total_seconds(), abs=0.01)


async def test_a_repeated_end_is_told_once(world: World, told: Recorder) -> None:
    record = await _provisioning(world)
    for _ in range(3):
        await _move(record, _S.SUCCEEDED)
    assert len(told.spans("onboard")) == 1
    assert [point.count for _, point in told.points("appstore.request.duration")] == [1]


async def test_a_retry_weeks_later_is_in_the_same_trace_below_the_first_attempt(world: World, told: Recorder) -> None:
    record = await _provisioning(world)
    await _step(record, "start_apply", "environment", 101, 140, state=StepState.FAILED)
    problem = Problem(code="integration-conflict", title="t", detail="d")
    parked = await _move(record, _S.PARKED, problem=problem)
    weeks = 21 * 86400.0
    decision = _approval(record, weeks, Decision.RETRY)
    await commit(record.application, [requests.decision_write(decision)])
    again = await _move(parked, _S.PROVISIONING, attempt=2)
    # the failed step: first begun in attempt 1, tried again in attempt 2
    await _step(record, "start_apply", "environment", 101, weeks + 30, tried=weeks + 2, attempt=2)
    await _move(again, _S.SUCCEEDED, problem=None)
    first, second = told.spans("onboard")
    assert first.status.description == "integration-conflict"
    assert (first.context and first.context.trace_id) == (second.context and second.context.trace_id)
    assert _parent(second) == ids.root_of(record.id)
    assert _seconds(second)[0] == weeks
    _, branch = told.spans("environment dev")
    assert _seconds(branch) == (weeks + 2, weeks + 30)
    assert _parent(branch) == ids.run_span(record.id, attempt=2, undo=False)
    times = {labels["appstore.outcome"]: point.sum for labels, point in told.points("appstore.provision.duration")}
    assert times["succeeded"] == pytest.approx(30)  # the weeks that it lay parked are not its time


async def test_undo_has_its_own_span(world: World, told: Recorder) -> None:
    record = await _provisioning(world)
    ended = await _move(record, _S.SUCCEEDED)
    await commit(record.application, [requests.decision_write(_approval(record, 500, Decision.UNDO))])
    undoing = await _move(ended, _S.UNDOING, attempt=2)
    run = run_of(undoing, "undo", undo=True).model_copy(update={"attempt": 2})
    await world.value("finish_request", FinishRequest(run=run, state="undone"))
    span = told.span("undo")
    assert span.context is not None
    assert span.context.span_id == ids.run_span(record.id, attempt=2, undo=True)
    assert _seconds(span)[0] == 500
    assert {labels["appstore.run"] for labels, _ in told.points("appstore.request.duration")} == {"onboard", "undo"}


async def test_a_request_that_was_given_up_tells_of_its_cleaning(world: World, told: Recorder) -> None:
    record = await world.order()
    await _move(record, _S.PLANNING)
    await _move(record, _S.AWAITING_APPROVAL)
    await _move(record, _S.REJECTED)
    assert told.spans("onboard")
    assert not told.spans("undo")
    run = run_of(record, "undo", undo=True)
    await world.value("finish_request", FinishRequest(run=run, state="rejected"))
    assert _parent(told.span("undo")) == ids.root_of(record.id)


async def test_a_register_that_cannot_be_read_does_not_fail_the_end(
    world: World, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await _provisioning(world)

    async def broken(*_arguments: object, **_more: object) -> None:
        raise ConnectionError("no table")

    monkeypatch.setattr(run_ends, "_tell_all", broken)
    assert (await _move(record, _S.SUCCEEDED)).state is _S.SUCCEEDED
    assert told.spans("onboard") == []


# -- activities ------------------------------------------------------------------------------------------------------


async def _started(world: World) -> ActivityInput:
    record = await world.order()
    for state in (_S.PLANNING, _S.AWAITING_APPROVAL, _S.PROVISIONING):
        await _move(record, state)
    return ActivityInput(run=run_of(record))


async def test_a_step_tells_of_each_try_of_kept_results_and_of_a_try_that_died(world: World, told: Recorder) -> None:
    payload = await _started(world)
    trace = ids.trace_of(payload.run.request_id)
    world.fault(system="github", method="POST", path="/orgs/contoso/repos", mode="status", status=502, times=9)
    with pytest.raises(TransientIntegrationError):
        await world.run("ensure_repository", payload)
    world.heal()
    await world.value("ensure_repository", payload)
    await world.value("ensure_repository", payload)
    first, second, kept = told.spans("ensure_repository")
    assert {span.context.trace_id for span in (first, second, kept) if span.context} == {trace}
    assert [(span.attributes or {}).get("appstore.outcome") for span in (second, kept)] == ["done", "kept"]
    assert first.status.description == "TransientIntegrationError"
    assert first.context is not None
    assert first.context.span_id == ids.step_span(payload.run, "ensure_repository", 1)
    failed = [span for span in told.spans("github: create repository") if not span.status.is_ok]
    assert {_parent(span) for span in failed} == {first.context.span_id}
    assert [(labels, point.value) for labels, point in told.points("appstore.step.failures")] == [
        ({"appstore.system": "github", "appstore.code": "integration-transient"}, 1)
    ]
    # The worker dies in the middle of the step: the row says running, and the next try finds it.
    standing = await steps.standing(payload.run, "ensure_repository")
    assert standing.step is not None
    died = standing.step.model_copy(update={"state": StepState.RUNNING, "attempts": 3, "tried_at": _at(7)})
    await steps.write(payload.run, died)
    await world.value("ensure_repository", payload)
    *_, interrupted, last = told.spans("ensure_repository")
    assert interrupted.status.description == "interrupted"
    assert _seconds(interrupted)[0] == 7
    assert [span.context.span_id for span in (interrupted, last) if span.context] == [
        ids.step_span(payload.run, "ensure_repository", tries) for tries in (3, 4)
    ]
    assert "integration-transient" in told.everything()


async def test_a_failed_step_counts_for_the_system_that_failed(world: World, told: Recorder) -> None:
    payload = await _started(world)
    world.fault(system="github", method="POST", path="/orgs/contoso/repos", mode="status", status=403, times=9)
    outcome = await world.run("ensure_repository", payload)
    assert outcome.problem
    ((labels, point),) = told.points("appstore.step.failures")
    assert (labels, point.value) == ({"appstore.system": "github", "appstore.code": "integration-not-authorised"}, 1)
    assert told.span("ensure_repository").status.description == "integration-not-authorised"


async def test_a_lookup_is_told_with_its_outcome(world: World, told: Recorder) -> None:
    payload = await _started(world)
    await world.value("read_request", payload)
    await world.value("park_request", ParkRequest(run=payload.run, problem=Problem(code="x", title="t", detail="d")))
    look = told.span("read_request")
    assert _parent(look) == ids.root_of(payload.run.request_id)
    assert told.span("onboard").status.description == "x"


# -- the sweep -------------------------------------------------------------------------------------------------------


async def test_the_sweep_measures_queue_and_pending_approvals(
    world: World, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone with three requests and a claim; the register of the session holds those of other tests as well."""
    waiting = [await world.order() for _ in range(2)]
    working = await world.order()
    now = datetime.now(UTC)
    old = (now - timedelta(seconds=90)).isoformat()
    claim = ClaimRecord(
        request_id="req-0",
        application="x",
        body_hash="h",
        caller="c",
        state=ClaimState.CLAIMED,
        claimed_at=(now - timedelta(seconds=12)).isoformat(),
    )
    rows = [record.model_copy(update={"state": _S.AWAITING_APPROVAL, "updated_at": old}) for record in waiting]
    rows.append(
        working.model_copy(update={"state": _S.PLANNING, "updated_at": (now - timedelta(seconds=15)).isoformat()})
    )

    async def in_states(states: list[RequestState]) -> Any:
        for row in rows if _S.AWAITING_APPROVAL in states else []:
            yield row

    async def unfinished() -> Any:
        yield claim

    monkeypatch.setattr(requests, "in_states", in_states)
    monkeypatch.setattr(claims, "unfinished", unfinished)
    client: Any = DurableClient()
    await timer_sweep.sweep(client, client)
    ages = {labels["appstore.queue"]: point.value for labels, point in told.points("appstore.queue.age")}
    assert ages == {"claims": pytest.approx(12, abs=3), "requests": pytest.approx(15, abs=3)}
    assert [(labels, point.value) for labels, point in told.points("appstore.approvals.pending")] == [({}, 2)]


def test_rows_of_earlier_versions_are_read() -> None:
    row = {"requestId": "r", "name": "n", "branch": "b", "state": "done", "startedAt": "t"}
    assert StepRecord.model_validate(row).run_attempt == 0
    assert Write("k", document_of(StepRecord.model_validate(row))).document
