"""The flow of a promotion, step by step, under a clock that only moves when the flow waits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrators.promote import promote
from shared.models.problem import Problem
from shared.models.promotions import PromoteInput, PromotionSnapshot, Release
from shared.models.runs import PipelineRun
from shared.outcome import Outcome

BEGAN = datetime(2026, 11, 25, 12, tzinfo=UTC)
RELEASE = Release(repository="contoso/payments-api", commit="a" * 40, digest=f"sha256:{'b' * 64}")
INPUT = PromoteInput(request_id="pro-1", application="payments-api")
CHANGE = ["open_release_change", "check_release_conflicts", "start_release_change"]
DEPLOY = ["start_release", "read_pipeline_run", "read_release"]
PROOF = ["verify_release", "verify_record"]


def failed(code: str = "integration-permanent", step: str = "") -> Outcome:
    return Outcome.failed(Problem(code=code, title="t", detail="d", step=step))


@dataclass
class Timer:
    at: datetime
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Clockwork:
    """The part of the durable context that the flow uses, and the promotion that it carries out.

    Attributes:
        answers: outcomes of activities that do not just succeed.
        decisions: states that the promotion has at each look while it waits for a decision.
        holders: who has the lease at each try.
    """

    target: str = "qa"
    judged: str = "deploying"
    systems: tuple[str, ...] = ("servicenow",)
    done: tuple[str, ...] = ()
    answers: Mapping[str, Outcome] = field(default_factory=dict)
    decisions: list[str] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)
    now: datetime = BEGAN
    begun: str = "evaluating"
    calls: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    @property
    def current_utc_datetime(self) -> datetime:
        return self.now

    def snapshot(self, state: str) -> Outcome:
        found = PromotionSnapshot(
            state=state,
            target=self.target,
            release=RELEASE,
            decide_before=(BEGAN + timedelta(hours=72)).isoformat(),
            record_systems=list(self.systems),
            done=list(self.done),
        )
        return Outcome.done(dict(found.document()))

    def call_activity_with_retry(self, name: str, _options: object, payload: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(name)
        return dict((self.answers.get(name) or self._usual(name, payload)).document())

    def _usual(self, name: str, payload: dict[str, Any]) -> Outcome:
        result: dict[str, Any] = {}
        match name:
            case "begin_promotion" | "evaluate_promotion":
                return self.snapshot(self.begun if name == "begin_promotion" else self.judged)
            case "read_promotion":
                return self.snapshot(self.decisions.pop(0))
            case "take_lease":
                result = {"holder": self.holders.pop(0) if self.holders else INPUT.request_id}
            case "set_promotion_state":
                self.states.append(payload["state"])
            case "start_release" | "read_pipeline_run":
                run = PipelineRun(repository="payments-api", run_id=1, status="completed", conclusion="success")
                result = dict(run.document())
        return Outcome.done(result)

    def wait_for_external_event(self, name: str) -> str:
        return name

    def create_timer(self, at: datetime) -> Timer:
        assert at > self.now, "a timer in the past would spin"
        return Timer(at)

    def task_any(self, tasks: list[Any]) -> Any:
        return tasks

    def run(self) -> Outcome:
        """Drive the flow to its end: a wait for a decision ends at once, or at its deadline when nobody decides."""
        flow: Any = promote(self, INPUT)
        answer: Any = None
        try:
            while True:
                task = flow.send(answer)
                answer = self._answer(task)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome

    def _answer(self, task: Any) -> Any:
        if isinstance(task, list):
            event, timer = task
            if len(self.decisions) > 1:
                return event
            self.now = timer.at
            return timer
        if isinstance(task, Timer):
            self.now = task.at
            return None
        return task


def test_gates_change_pipeline_proof_in_this_order() -> None:
    clock = Clockwork()
    assert clock.run().ok
    steps = [name for name in clock.calls if name != "set_promotion_state"]
    assert steps == [
        "begin_promotion", "evaluate_promotion", "take_lease", *CHANGE, *DEPLOY, *PROOF, "close_release_change",
    ]  # fmt: skip
    assert clock.states == ["verifying", "succeeded"]


@pytest.mark.parametrize("state", ["refused", "rejected", "cancelled"])
def test_what_is_not_allowed_touches_nothing(state: str) -> None:
    clock = Clockwork(judged=state)
    assert clock.run().ok
    assert (clock.calls, clock.states) == (["begin_promotion", "evaluate_promotion"], [])


def test_an_approval_lets_it_go_on_however_often_it_is_woken() -> None:
    clock = Clockwork(target="prod", judged="awaiting_approval", decisions=["awaiting_approval"] * 3 + ["deploying"])
    assert clock.run().ok
    assert clock.states == ["verifying", "succeeded"]


def test_nobody_decided_in_time() -> None:
    clock = Clockwork(judged="awaiting_approval", decisions=["awaiting_approval", "expired"])
    clock.now = BEGAN + timedelta(hours=72)
    assert clock.run().ok
    assert clock.states == ["expired"]
    assert "start_release" not in clock.calls


def test_a_gate_that_closed_at_the_last_moment_refuses() -> None:
    clock = Clockwork(answers={"start_release": failed("policy-denied", "start_release")})
    assert not clock.run().ok
    assert clock.states == ["refused"]
    assert clock.calls[-1] == "withdraw_release_change"


@pytest.mark.parametrize("step", [*DEPLOY[1:], *PROOF])
def test_what_fails_is_parked(step: str) -> None:
    clock = Clockwork(answers={step: failed()})
    assert not clock.run().ok
    assert clock.states[-1] == "parked"
    assert "close_release_change" not in clock.calls


@pytest.mark.parametrize("step", CHANGE)
def test_production_is_not_changed_without_a_change_request(step: str) -> None:
    clock = Clockwork(target="prod", answers={step: failed()})
    assert not clock.run().ok
    assert clock.states == ["parked"]
    assert "start_release" not in clock.calls


@pytest.mark.parametrize("step", [*CHANGE, "close_release_change"])
def test_elsewhere_a_missing_change_is_told_and_does_not_stop_it(step: str) -> None:
    clock = Clockwork(answers={step: failed()})
    assert clock.run().ok
    assert clock.states == ["verifying", "degraded"]


def test_without_servicenow_there_is_no_change() -> None:
    clock = Clockwork(systems=())
    assert clock.run().ok
    assert not set(CHANGE) & set(clock.calls)
    assert clock.states == ["verifying", "succeeded"]


def test_a_retry_does_not_deploy_again_what_was_deployed() -> None:
    clock = Clockwork(begun="deploying", done=("start_release", "read_release"))
    assert clock.run().ok
    assert not set(DEPLOY) & set(clock.calls)
    assert set(PROOF) < set(clock.calls)


def test_one_change_of_an_application_at_a_time() -> None:
    clock = Clockwork(holders=["req-1", "req-1", "pro-1"])
    assert clock.run().ok
    assert clock.calls.count("take_lease") == 3
    assert clock.now > BEGAN
    waiting = Clockwork(holders=["req-1"] * 10_000)
    assert not waiting.run().ok
    assert waiting.states == ["parked"]


def test_the_kill_switch_ends_the_flow_where_it_is() -> None:
    clock = Clockwork(answers={"start_release": Outcome.cancelled("The kill switch is on.")})
    assert not clock.run().ok
    assert clock.states == []
