"""The wait for a decision under a clock that only moves when the flow waits: who is told what, and when."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrators._steps import StepFailedError
from orchestrators.approve import approve
from shared.models.approval import ApproveInput
from shared.models.problem import Problem
from shared.models.runs import RequestSnapshot
from shared.outcome import Outcome

BEGAN = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOURS = 72
DIGEST = "a" * 64
NEVER = 1000.0

type Answer = Callable[["Clockwork"], Outcome]


@dataclass
class Timer:
    at: datetime
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Clockwork:
    """The part of the durable context that the flow uses, and the request that it waits for.

    Attributes:
        decided: hours after the beginning at which somebody decides; the hint comes at once, or never.
        servicenow: what an activity of the change request answers.
    """

    decided: float = NEVER
    hint: bool = True
    servicenow: Answer = lambda _clock: Outcome.done({})
    now: datetime = BEGAN
    state: str = "awaiting_approval"
    calls: list[tuple[float, str]] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    again: dict[str, Any] | None = None
    occasions: set[int] = field(default_factory=set)

    @property
    def current_utc_datetime(self) -> datetime:
        return self.now

    @property
    def hours(self) -> float:
        return (self.now - BEGAN) / timedelta(hours=1)

    def call_activity_with_retry(self, name: str, _options: object, payload: dict[str, Any]) -> dict[str, Any]:
        if self.now >= BEGAN + timedelta(hours=self.decided) and self.state == "awaiting_approval":
            self.state = "provisioning"
        self.calls.append((round(self.hours, 3), payload.get("kind") or name))
        if name == "send_notice":
            self.occasions.add(payload["occasion"])
        if name == "read_request":
            return dict(Outcome.done(dict(self.snapshot().document())).document())
        if name == "expire_request":
            self.state = "expired"
        if name.endswith("_change_approval"):
            return dict(self.servicenow(self).document())
        return dict(Outcome.done({}).document())

    def snapshot(self) -> RequestSnapshot:
        return RequestSnapshot(state=self.state, round=3, environments=["dev"], digest=DIGEST)

    def wait_for_external_event(self, name: str) -> str:
        return name

    def create_timer(self, at: datetime) -> Timer:
        assert at > self.now, "a timer in the past would spin"
        self.timers.append(Timer(at))
        return self.timers[-1]

    def task_any(self, tasks: list[Any]) -> Any:
        event, timer = tasks
        told = BEGAN + timedelta(hours=self.decided) if self.hint else datetime.max.replace(tzinfo=UTC)
        if self.now < told < timer.at:
            self.now = told
            return event
        self.now = timer.at
        return timer

    def continue_as_new(self, document: dict[str, Any]) -> None:
        self.again = document


def wait(clock: Clockwork, **more: Any) -> Outcome:
    """Let the flow run to its end, through every new beginning."""
    end = (BEGAN + timedelta(hours=HOURS)).isoformat()
    usual = {"request_id": "req-1", "application": "shop", "digest": DIGEST, "decide_before": end}
    data = ApproveInput.model_validate({**usual, "asked_at": BEGAN.isoformat(), **more})
    while True:
        flow: Any = approve(clock, data)
        answer: Any = None
        for _ in range(200):
            try:
                answer = flow.send(answer)
            except StopIteration as stop:
                outcome: Outcome = stop.value
                break
        else:
            pytest.fail("the history of one instance grows without end")
        if clock.again is None:
            return outcome
        data, clock.again = ApproveInput.model_validate(clock.again), None


def told(clock: Clockwork) -> list[tuple[float, str]]:
    return [call for call in clock.calls if call[1] != "read_request" and not call[1].endswith("_change_approval")]


def test_reminder_at_half_escalation_at_three_quarters_expiry_at_the_end() -> None:
    clock = Clockwork()
    outcome = wait(clock)
    assert told(clock) == [
        (36.0, "reminder"),
        (54.0, "escalate_request"),
        (54.0, "escalation"),
        (72.0, "expire_request"),
    ]
    assert RequestSnapshot.model_validate(outcome.value).state == "expired"


def test_who_is_asked_again_about_the_same_plan_is_reminded_again() -> None:
    """A grant ended: the round is the same, the asking is another, so its notices are no repeats of the first ones."""
    first, second = Clockwork(), Clockwork()
    wait(first)
    wait(second, asked_at=(BEGAN + timedelta(hours=1)).isoformat())
    assert len(first.occasions) == len(second.occasions) == 1
    assert first.occasions != second.occasions


@settings(deadline=None)
@given(decided=st.floats(0.1, 80), hint=st.booleans())
@example(decided=36.0, hint=True)
@example(decided=72.0, hint=True)
@example(decided=71.999, hint=False)
def test_a_decision_ends_the_wait_and_nobody_is_told_afterwards(decided: float, hint: bool) -> None:
    clock = Clockwork(decided=decided, hint=hint)
    outcome = wait(clock)
    wanted = [
        call
        for call in [(36.0, "reminder"), (54.0, "escalate_request"), (54.0, "escalation"), (72.0, "expire_request")]
        if call[0] < decided
    ]
    assert told(clock) == wanted
    assert RequestSnapshot.model_validate(outcome.value).state == ("provisioning" if decided <= 72 else "expired")
    assert clock.hours <= decided + 0.001 or not hint or decided > 72


def test_who_was_asleep_over_both_is_told_the_later_only() -> None:
    clock = Clockwork(now=BEGAN + timedelta(hours=60))
    wait(clock)
    assert [name for _, name in told(clock)] == ["escalate_request", "escalation", "expire_request"]


def test_a_run_from_before_there_were_reminders_waits_as_it_did() -> None:
    clock = Clockwork()
    wait(clock, asked_at="")
    assert clock.calls == [
        (0.0, "read_request"),
        (72.0, "read_request"),
        (72.0, "expire_request"),
        (72.0, "read_request"),
    ]
    assert [timer.at for timer in clock.timers] == [BEGAN + timedelta(hours=72)]


def test_servicenow_is_looked_at_less_and_less_often_and_the_history_stays_short() -> None:
    clock = Clockwork()
    wait(clock, servicenow=True)
    looks = [at for at, name in clock.calls if name == "read_change_approval"]
    assert looks[0] == 0.0
    pauses = [round((b - a) * 3600) for a, b in pairwise(looks)]
    assert pauses[0] <= 10
    assert max(pauses) <= 305
    assert [name for _, name in told(clock)] == ["reminder", "escalate_request", "escalation", "expire_request"]


def _transient(_clock: Clockwork) -> Outcome:
    return Outcome.failed(Problem(code="integration-transient", title="t", detail="d"))


def _cancelled(_clock: Clockwork) -> Outcome:
    return Outcome.cancelled("The kill switch is on: nothing was changed.")


@pytest.mark.parametrize("answer", [_transient, _cancelled])
def test_an_instance_that_is_down_keeps_nobody_from_deciding_or_expiring(answer: Answer) -> None:
    clock = Clockwork(servicenow=answer)
    wait(clock, servicenow=True)
    assert told(clock)[-1] == (72.0, "expire_request")
    clock = Clockwork(servicenow=answer, decided=1.0)
    assert RequestSnapshot.model_validate(wait(clock, servicenow=True).value).state == "provisioning"


def test_an_instance_that_refuses_ends_the_wait_with_its_reason() -> None:
    refused = Outcome.failed(Problem(code="integration-not-authorised", title="t", detail="our user may not"))
    with pytest.raises(StepFailedError, match="our user may not"):
        wait(Clockwork(servicenow=lambda _clock: refused), servicenow=True)
