"""The guard in force: shields, limits, waves and people, over operations of many actions."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from activities import _guarded
from activities._guarded import Done, carry_out, keep_survey
from shared import guard_rules
from shared.clock import utc_now
from shared.errors import PermanentIntegrationError, RequestRejectedError, TransientIntegrationError, VendorCall
from shared.guard import Permit
from shared.models.controls import Breaker, Exemption, FreezeRecord, KillSwitch, LegalHold, Scope
from shared.models.operations import (
    ActionRecord,
    ActionState,
    OperationRecord,
    OperationState,
    PlannedAction,
    Survey,
    Wave,
)
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Run
from shared.register import controls, intents, operations
from shared.register.audit import Entry
from tests.integration.day2 import Conductor, active, ask, rows
from tests.integration.world import DurableClient, World, caller
from triggers._http import Call
from triggers.http_controls import declare_legal_hold

RULES = """
defaults:
  mode: {mode}
  budget: {{run: 2000, hour: {hour}, day: 5000}}
  blastRadius: {{percent: {percent}, atLeast: 2}}
  canary: 1
  waves: [10, 100]
  breaker: {{failures: 3, minutes: 30}}
  approve: [{approve}]
  decideHours: 72
  undoDays: 7
rules: {{}}
"""
S = OperationState
PLACE = VendorCall("test", "test")


@pytest.fixture
async def application(world: World) -> RequestRecord:
    return await active(world)


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the rules of the guard for one test."""

    def write(*, mode: str = "act", hour: int = 5000, percent: float = 100, approve: str = "") -> None:
        file = tmp_path / "guard.yaml"
        file.write_text(RULES.format(mode=mode, hour=hour, percent=percent, approve=approve))
        monkeypatch.setattr(guard_rules, "FILE", file)

    write()
    return write


def planned(application: RequestRecord, count: int, rule: str, **changes: Any) -> list[PlannedAction]:
    usual: dict[str, Any] = {"kind": "thing", "environment": "dev", "summary": "change it", "destructive": True}
    usual |= {"rule": rule, "owned_by": application.application} | changes
    return [PlannedAction(key=str(number), target=f"/things/{number}", **usual) for number in range(count)]


async def judged(record: OperationRecord, actions: list[PlannedAction], scanned: int | None = None) -> OperationRecord:
    """Survey and judge an operation with these actions."""
    conductor = Conductor({})
    run = Run(request_id=record.id, application=record.application, branch="operation")
    await conductor.perform(_call(conductor, "begin_operation", ActivityInput(run=run)))
    await keep_survey(
        ActivityInput(run=run), Survey(actions=actions, scanned=len(actions) if scanned is None else scanned)
    )
    await conductor.perform(_call(conductor, "judge_operation", ActivityInput(run=run)))
    return await operations.get(record.application, record.id)


def _call(conductor: Conductor, name: str, payload: ActivityInput) -> Any:
    class Options:
        max_number_of_attempts = 3

    yield conductor.call_activity_with_retry(name, Options(), payload.document())


def wave(record: OperationRecord, number: int) -> Wave:
    return Wave(run=Run(request_id=record.id, application=record.application, branch=f"wave-{number}"), wave=number)


class Things:
    """What the actions change; ``bad`` ones fail."""

    def __init__(self, bad: set[str] = frozenset(), transient: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.changed: list[str] = []
        self.bad, self.transient = bad, set(transient)
        self.after: Callable[[str], Any] | None = None

    async def work(self, row: ActionRecord, _permit: Permit) -> Done:
        target = row.action.target
        if target in self.bad:
            raise PermanentIntegrationError(PLACE, "it will never work")
        if target in self.transient:
            self.transient.remove(target)
            raise TransientIntegrationError(PLACE, "not now")
        self.changed.append(target)
        if self.after:
            await self.after(target)
        return Done()


SHIELDS = ("hold", "freeze", "exemption", "lock", "kill-switch")


@pytest.mark.parametrize("shield", SHIELDS)
async def test_a_shield_that_comes_between_plan_and_change_wins(
    application: RequestRecord, limits: Callable[..., None], shield: str
) -> None:
    limits()
    record = await judged(await ask(application, "reconcile-tags"), planned(application, 3, f"rule-{shield}"))
    assert record.state is S.ACTING
    name = application.application
    at, scope = utc_now(), Scope(application=name)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    entry = Entry(f"{shield}-{record.id}", at, "test", shield, record.id, "test")
    own: dict[str, Any] = {"id": f"{shield}-{record.id}", "scope": scope, "reason": "test", "at": at}
    by: dict[str, Any] = {"actor": "test", "actor_name": "test"}
    match shield:
        case "hold":
            await controls.declare(LegalHold(**own, **by), entry)
        case "freeze":
            await controls.declare(FreezeRecord(**own, **by, begins=at, ends=later), entry)
        case "exemption":
            given: dict[str, Any] = {
                "owner": "a",
                "owner_name": "a",
                "expires_at": later,
                "approver": "b",
                "approver_name": "b",
            }
            await controls.declare(Exemption(**own, **given), entry)
        case "kill-switch":
            await controls.set_kill_switch(KillSwitch(on=True, reason="test", **by, at=at))

    async def locked(_action: PlannedAction) -> bool:
        return shield == "lock"

    things = Things()
    try:
        result = await carry_out(wave(record, 0), things.work, locked)
    finally:
        await controls.set_kill_switch(KillSwitch(on=False, reason="test", **by, at=f"{at}2"))
    assert things.changed == []
    expected = {"kill-switch": "planned", "exemption": "exempt"}.get(shield, "refused")
    assert (await rows(record))[0].state == expected
    assert (result.stop == _guarded.KILLED) is (shield == "kill-switch")


@pytest.mark.parametrize("count", [150, pytest.param(1000, marks=pytest.mark.long)])
async def test_the_kill_switch_ends_a_long_run_at_the_next_change(
    application: RequestRecord, limits: Callable[..., None], count: int
) -> None:
    limits()
    record = await judged(await ask(application, "reconcile-tags"), planned(application, count, "kill"))
    things = Things()

    async def turn(target: str) -> None:
        if target == "/things/5":
            by = {"actor": "test", "actor_name": "test"}
            await controls.set_kill_switch(KillSwitch(on=True, reason="test", **by, at=utc_now()))

    things.after = turn
    try:
        await carry_out(wave(record, 0), things.work)
        result = await carry_out(wave(record, 1), things.work)
        last = await carry_out(wave(record, 2), things.work)
    finally:
        off = KillSwitch(on=False, reason="test", actor="test", actor_name="test", at=utc_now())
        await controls.set_kill_switch(off)
    assert result.stop == last.stop == _guarded.KILLED
    assert things.changed == [f"/things/{number}" for number in range(6)]


async def test_a_canary_that_fails_stops_the_rest(application: RequestRecord, limits: Callable[..., None]) -> None:
    limits()
    record = await judged(await ask(application, "reconcile-tags"), planned(application, 20, "canary"))
    assert record.waves == 3
    result = await carry_out(wave(record, 0), Things({"/things/0"}).work)
    assert result.stop == "the canary failed"


async def test_the_third_failure_in_a_row_pauses_the_rule_and_a_probe_opens_it_again(
    application: RequestRecord, limits: Callable[..., None]
) -> None:
    limits()
    record = await judged(await ask(application, "reconcile-tags"), planned(application, 40, "breaker"))
    things = Things({f"/things/{number}" for number in range(1, 8)})
    await carry_out(wave(record, 0), things.work)
    result = await carry_out(wave(record, 1), things.work)
    assert "pauses" in str(result.stop)
    found = await rows(record)
    assert [row.state for row in found[:5]] == ["done", "failed", "failed", "failed", "planned"]
    assert (await controls.breaker("other-rule")).opened_at is None, "others are unaffected"
    ago = (datetime.now(UTC) - timedelta(minutes=31)).isoformat().replace("+00:00", "Z")
    await controls.change_breaker("breaker", lambda old: old.model_copy(update={"opened_at": ago}))
    things.bad = set()
    await carry_out(wave(record, 1), things.work)
    assert await controls.breaker("breaker") == Breaker()


async def test_what_is_over_the_budget_is_left_for_the_next_run(
    application: RequestRecord, limits: Callable[..., None]
) -> None:
    limits(hour=4)
    record = await judged(await ask(application, "reconcile-tags"), planned(application, 8, "budget"))
    things = Things()
    for number in range(record.waves):
        await carry_out(wave(record, number), things.work)
    assert len(things.changed) == 4
    assert [row.state for row in await rows(record)].count(ActionState.PLANNED) == 4


async def test_what_is_over_the_budget_is_not_done_by_looking_again(
    application: RequestRecord, limits: Callable[..., None]
) -> None:
    """An activity that runs twice, or looks again at what is under way, meets the actions that the budget kept back."""
    limits(hour=4)
    record = await judged(await ask(application, "reconcile-tags"), planned(application, 8, "budget-again"))
    things = Things()
    for number in [*range(record.waves)] * 3:
        await carry_out(wave(record, number), things.work)
    assert len(things.changed) == 4


async def test_a_hundred_at_once_never_overshoot_a_budget(world: World) -> None:
    del world
    now = utc_now()
    given = await asyncio.gather(*(controls.spend("race", 1, hour=10, day=50, now=now) for _ in range(100)))
    assert sum(given) == 10


@pytest.mark.parametrize(("count", "scanned", "state"), [(5, 100, S.ACTING), (6, 100, S.REFUSED), (2, 2, S.ACTING)])
async def test_the_blast_radius_is_judged_before_anything_happens(
    application: RequestRecord, limits: Callable[..., None], count: int, scanned: int, state: OperationState
) -> None:
    limits(percent=5)
    record = await judged(await ask(application, "reconcile-tags"), planned(application, count, "blast"), scanned)
    assert record.state is state
    assert (record.problem is not None and record.problem.code == "blast-radius") is (state is S.REFUSED)


@pytest.mark.parametrize("mode", ["off", "observe", "propose", "act"])
async def test_each_mode_goes_as_far_as_it_says(
    application: RequestRecord, limits: Callable[..., None], mode: str
) -> None:
    limits(mode=mode)
    record = await judged(await ask(application, "reconcile-tags"), planned(application, 1, "mode"))
    expected = {"off": S.REFUSED, "observe": S.OBSERVED, "propose": S.AWAITING_APPROVAL, "act": S.ACTING}
    assert record.state is expected[mode]


@pytest.mark.parametrize("environment", ["dev", "prod"])
@pytest.mark.parametrize("destructive", [False, True])
@pytest.mark.parametrize("reversible", [False, True])
async def test_only_what_cannot_be_undone_in_prod_needs_a_person_in_mode_act(
    application: RequestRecord, limits: Callable[..., None], environment: str, destructive: bool, reversible: bool
) -> None:
    limits()
    actions = planned(application, 1, "final", environment=environment, destructive=destructive, reversible=reversible)
    record = await judged(await ask(application, "reconcile-tags"), actions)
    final = environment == "prod" and destructive and not reversible
    assert record.state is (S.AWAITING_APPROVAL if final else S.ACTING)


async def test_what_a_hold_keeps_is_not_told_as_done_because_its_neighbour_is_exempt(
    application: RequestRecord, limits: Callable[..., None]
) -> None:
    limits()
    asked, at = await ask(application, "reconcile-tags"), utc_now()
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    own: dict[str, Any] = {"reason": "test", "at": at}
    people: dict[str, Any] = {"owner": "a", "owner_name": "a", "approver": "b", "approver_name": "b"}
    exempt, held = (Scope(application=application.application, resource=f"/things/{number}") for number in range(2))
    entry = Entry(f"shields-{asked.id}", at, "test", "declare", asked.id, "test")
    await controls.declare(Exemption(id=f"e-{asked.id}", scope=exempt, expires_at=later, **own, **people), entry)
    entry = Entry(f"hold-{asked.id}", at, "test", "declare", asked.id, "test")
    await controls.declare(LegalHold(id=f"h-{asked.id}", scope=held, actor="a", actor_name="a", **own), entry)
    record = await judged(asked, planned(application, 2, "mixed"))
    assert [row.state for row in await rows(record)] == [ActionState.EXEMPT, ActionState.REFUSED]
    assert record.state is S.REFUSED
    assert record.problem
    assert "a legal hold lies on it" in record.problem.detail


async def test_an_approval_holds_for_exactly_the_actions_that_were_shown(
    application: RequestRecord, limits: Callable[..., None]
) -> None:
    limits(mode="propose")
    record = await judged(await ask(application, "reconcile-tags"), planned(application, 2, "approve"))
    things = Things()
    acting = {"state": S.ACTING, "approved_digest": "0" * 64}
    entry = Entry(f"{record.id}:test", utc_now(), "test", "approve", record.id, "another digest")
    record = await operations.transition(
        record.application, record.id, lambda old: old.model_copy(update=acting), entry, expect=[S.AWAITING_APPROVAL]
    )
    await carry_out(wave(record, 0), things.work)
    assert things.changed == [], "somebody approved something else"


async def test_what_does_not_get_through_is_tried_again_alone(
    application: RequestRecord, limits: Callable[..., None]
) -> None:
    limits()
    record = await judged(await ask(application, "reconcile-tags"), planned(application, 1, "transient"))
    things = Things(transient={"/things/0"})
    with pytest.raises(TransientIntegrationError):
        await carry_out(wave(record, 0), things.work)
    await carry_out(wave(record, 0), things.work)
    await carry_out(wave(record, 0), things.work)
    assert things.changed == ["/things/0"]


@pytest.mark.parametrize("occasion", ["timer", "request"])
async def test_what_nobody_asked_for_is_told_when_it_needs_somebody(
    application: RequestRecord, limits: Callable[..., None], occasion: str
) -> None:
    limits(percent=1)
    asked = await ask(application, "reconcile-tags", occasion=occasion)
    record = await judged(asked, planned(application, 9, f"told-{occasion}"))
    assert record.state is S.REFUSED
    told = [intent async for intent in intents.due() if record.id in intent.message.model_dump_json()]
    assert len(told) == (occasion == "timer")
    assert all("allows 2 in one run" in intent.message.text for intent in told)


@pytest.mark.parametrize("scope", [{}, {"environment": "prod"}, {"rule": "reconcile-tags"}])
async def test_nobody_holds_everything_by_leaving_out_what(world: World, scope: dict[str, str]) -> None:
    del world
    client: Any = DurableClient()
    raw = json.dumps({"scope": scope, "reason": "a case"}).encode()
    headers = {"content-type": "application/json", "idempotency-key": "everything"}
    call = Call(caller("operator", "Operator"), {}, {}, headers, client, raw, "/api/legal-holds")
    with pytest.raises(RequestRejectedError, match="names an application or a resource") as refused:
        await declare_legal_hold(call)
    assert (refused.value.status, refused.value.pointer) == (422, "/scope")
