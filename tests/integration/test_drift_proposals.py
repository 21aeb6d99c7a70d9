"""One pull request per environment for what is not safe: opened, kept true, and its merge taken as a wish, once."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from shared import authorisation
from shared.authorisation import subject_of
from shared.clients import _http
from shared.clock import utc_now
from shared.drift_proposals import branch, path
from shared.errors import TransientIntegrationError, VendorCall
from shared.models.drift_proposals import ProposalRecord, ProposalState
from shared.models.operations import OperationRecord, OperationState
from shared.models.records import Decision, RequestRecord
from shared.models.runs import ActivityInput, Run
from shared.register import _table, findings, operations
from shared.register import drift_proposals as proposals
from shared.register.audit import Entry
from tests.integration.day2 import WorkerDiedError
from tests.integration.detections import Detection, group, manager, owner, size, tag
from tests.integration.test_shields import laid
from tests.integration.wire import watched
from tests.integration.world import DurableClient, World, caller
from triggers import timer_drift_proposals
from triggers._drift_sweep import sweep_drift_proposals

_S = ProposalState
MERGER = "requester-at-contoso"
HOSTILE = "x`` |<!-- appstore-finding: drf-000000000000 -->\n@everyone \u202e[a](https://evil)"


class Case:
    """An application with drift, its pull requests, and the people who look at them."""

    def __init__(self, world: World, record: RequestRecord) -> None:
        self.world, self.record, self.name = world, record, record.application
        self.place = f"/repos/contoso/{self.name}"

    async def drifts(self, changes: list[dict[str, Any]]) -> Detection:
        """Findings are written down; nobody is told yet."""
        detection = await Detection.begin(self.world, self.record)
        await self.world.value("read_drift", detection.found(changes))
        await asyncio.sleep(0.002)  # the times of the register have milliseconds
        return detection

    async def told(self, changes: list[dict[str, Any]]) -> ProposalRecord:
        """A detection to its end."""
        detection = await self.drifts(changes)
        await self.world.value("ensure_drift_proposal", ActivityInput(run=detection.run))
        return await self.row()

    async def row(self) -> ProposalRecord:
        return await proposals.find(self.name, "dev")

    def pulls(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.world.github(f"{self.place}/pulls?state=all")
        return found

    def states(self) -> list[str]:
        """Of the pull requests, newest first."""
        return ["merged" if pull["merged_at"] else pull["state"] for pull in self.pulls()]

    def file(self, reference: str) -> dict[str, Any]:
        found = self.world.github(f"{self.place}/contents/{path('dev')}?ref={reference}")
        document: dict[str, Any] = json.loads(base64.b64decode(found["content"]))
        return document

    def comments(self, number: int) -> list[str]:
        return [item["body"] for item in self.world.github(f"{self.place}/issues/{number}/comments")]

    def merge(self, number: int, login: str = MERGER) -> None:
        self.world.github_as(login, f"{self.place}/pulls/{number}/merge", "PUT", {"merge_method": "squash"})

    def close(self, number: int) -> None:
        self.world.github_as(MERGER, f"{self.place}/pulls/{number}", "PATCH", {"state": "closed"})

    def has_branch(self) -> bool:
        return self.world.github(f"{self.place}/git/ref/heads/{branch('dev')}") is not None

    async def look(self) -> ProposalRecord:
        await timer_drift_proposals.look_at(datetime.now(UTC))
        return await self.row()

    async def asked(self) -> list[OperationRecord]:
        """What the sweep has asked for."""
        for _ in range(2):
            await sweep_drift_proposals(DurableClient())
        found = await operations.of_application(self.name)
        return [item for item in found if item.parameters.get("findings")]


@pytest.fixture
async def case(world: World, monkeypatch: pytest.MonkeyPatch) -> Case:
    """The timer sees this application only."""
    made = Case(world, await owner(world))
    every = proposals.in_states

    async def ours(states: Any) -> Any:
        async for row in every(states):
            if row.application == made.name:
                yield row

    monkeypatch.setattr("shared.register.drift_proposals.in_states", ours)
    return made


async def test_it_is_opened_once_kept_true_and_withdrawn_when_everything_is_gone(case: Case) -> None:
    row = await case.told(size())
    assert (row.state, case.states()) == (_S.OPEN, ["open"])
    assert (await case.told(size())).model_dump(exclude={"updated_at"}) == row.model_dump(exclude={"updated_at"})
    (pull,) = case.pulls()
    assert (pull["number"], pull["head"]["ref"], pull["base"]["ref"]) == (row.number, "drift/dev", "main")
    assert [label["name"] for label in pull["labels"]] == ["drift"]
    assert "| high | `module.environment.azurerm_postgresql_flexible_server.this[0]` | `sku_name` |" in pull["body"]
    (finding,) = case.file("drift/dev")["findings"]
    assert (finding["is"], finding["shall"], finding["severity"]) == ('"B_Standard_B2s"', '"B_Standard_B1ms"', "high")
    both = size() + manager(case.record)
    row = await case.told(both)
    assert (row.state, case.states(), len(case.file("drift/dev")["findings"])) == (_S.OPEN, ["open"], 2)
    assert "managed_by" in case.pulls()[0]["body"]
    row = await case.told([])
    assert (row.state, case.states(), case.has_branch()) == (_S.CLOSED, ["closed"], False)
    assert ["gone" in text for text in case.comments(row.number or 0)] == [True]
    row = await case.told(size())
    assert (row.state, row.round, case.states()) == (_S.OPEN, 2, ["open", "closed"]), "it came back: proposed anew"


@pytest.mark.long
async def test_safe_findings_alone_are_not_proposed(case: Case) -> None:
    row = await case.told(tag(case.record))
    assert (row.state, case.pulls()) == (_S.CLOSED, [])


async def test_hostile_values_stay_values(case: Case) -> None:
    await case.told(size(HOSTILE))
    (pull,) = case.pulls()
    (line,) = [text for text in pull["body"].splitlines() if "sku_name" in text]
    assert "<!--" not in pull["body"]
    assert "\u202e" not in pull["body"]
    assert '``` "x`` \\u007c<\\u0021-- appstore-finding' in line, "inside a fence that is longer than any in the value"
    raw = base64.b64decode(case.world.github(f"{case.place}/contents/{path('dev')}?ref=drift/dev")["content"])
    assert raw.isascii()
    assert json.loads(case.file("drift/dev")["findings"][0]["is"]) == HOSTILE, "and nothing of it is lost"


@pytest.mark.long
async def test_secrets_are_masked(case: Case) -> None:
    changes = size()
    changes[0] |= {"before": {"sku_name": "x"}, "after": {"sku_name": "x"}}
    await case.told(changes)
    (finding,) = case.file("drift/dev")["findings"]
    assert (finding["is"], finding["shall"]) == ('"(sensitive)"', '"(sensitive)"')


@pytest.mark.long
async def test_closed_by_a_person_it_is_not_opened_again_for_the_same_findings(case: Case) -> None:
    row = await case.told(size())
    case.close(row.number or 0)
    assert (await case.look()).state is _S.DECLINED
    assert ((await case.told(size())).state, case.states()) == (_S.DECLINED, ["closed"])
    assert await case.asked() == []
    row = await case.told(size("B_Standard_B4ms"))
    assert (row.state, case.states()) == (_S.OPEN, ["open", "closed"]), "another value is another finding to propose"
    case.close(row.number or 0)
    assert (await case.told([])).state is _S.CLOSED
    assert (await case.told(size("B_Standard_B4ms"))).state is _S.OPEN, "it was gone in between"


async def test_merged_into_another_branch_it_is_no_wish(case: Case) -> None:
    row = await case.told(size())
    head = case.world.github(f"{case.place}/git/ref/heads/main")["object"]["sha"]
    case.world.github(f"{case.place}/git/refs", "POST", {"ref": "refs/heads/mine", "sha": head})
    case.world.github_as(MERGER, f"{case.place}/pulls/{row.number}", "PATCH", {"base": "mine"})
    case.merge(row.number or 0)
    assert (await case.look()).state is _S.DECLINED
    assert (await case.asked(), case.states()) == ([], ["merged"])


async def test_a_merge_is_a_wish_once_and_who_merged_cannot_approve(case: Case) -> None:
    row = await case.told(size())
    case.merge(row.number or 0)
    assert (await case.look()).state is _S.MERGED
    (operation,) = await case.asked()
    row = await case.row()
    assert (row.state, row.operation, row.merged_by) == (_S.ASKED, operation.id, MERGER)
    assert operation.parameters == {"reconcile": "all", "findings": row.digest}
    assert operation.environment == "dev"
    personas = {name: caller(name, "Approver") for name in ("requester", "approver")}
    token = case.world.stack.token("requester").split(".")[1]
    oid = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))["oid"]
    assert operation.requester == oid, "the person's id in Entra ID"
    subject = subject_of(operation)
    merger = personas["requester"].__class__(**{**personas["requester"].__dict__, "id": oid})
    assert authorisation.why_not(merger, Decision.APPROVE, subject) == "the requester cannot approve"
    assert authorisation.why_not(personas["approver"], Decision.APPROVE, subject) is None
    assert ((await case.told(size())).state, case.states()) == (_S.ASKED, ["merged"]), "it is under way: no second one"
    row = await case.told([])
    assert (row.state, case.has_branch()) == (_S.CLOSED, False)


@pytest.mark.long
async def test_the_operation_puts_right_what_was_shown_and_nothing_else(case: Case) -> None:
    shown = manager(case.record)
    row = await case.told(shown)
    case.merge(row.number or 0)
    await case.look()
    await case.asked()
    parameters = {"reconcile": "all", "findings": (await case.row()).digest}
    more = group(case.record, {"managed_by": "/subscriptions/x", "tags": tag(case.record)[0]["before"]["tags"]})
    for planned, state in ((shown, OperationState.AWAITING_APPROVAL), (more, OperationState.SUCCEEDED)):
        same = await Detection.begin(case.world, case.record, parameters=parameters)
        assert (await case.world.value("read_drift", same.found(shown)))["reconcile"]
        await case.world.value("list_reconciliation", same.found(planned, "plan"))
        await case.world.value("judge_operation", ActivityInput(run=same.run))
        assert (await operations.get(case.name, same.operation.id)).state is state
    other = await Detection.begin(case.world, case.record, parameters=parameters)
    assert not (await case.world.value("read_drift", other.found(size())))["reconcile"]
    await case.world.value("ensure_drift_proposal", ActivityInput(run=other.run))
    assert case.states() == ["open", "merged"], "what differs now is proposed anew"


@pytest.mark.long
async def test_other_findings_than_those_that_were_merged_apply_nothing(case: Case) -> None:
    row = await case.told(size())
    await case.drifts(size("B_Standard_B4ms"))
    case.merge(row.number or 0)
    row = await case.look()
    assert (row.state, case.states(), await case.asked()) == (_S.OPEN, ["open", "merged"], [])
    assert ["Other findings" in text for text in case.comments(1)] == [True]
    assert case.file("drift/dev")["findings"][0]["is"] == '"B_Standard_B4ms"'


@pytest.mark.long
async def test_a_file_that_somebody_changed_is_no_wish_for_what_it_says(case: Case) -> None:
    row = await case.told(size())
    forged = json.dumps(case.file("drift/dev") | {"findings": []})
    case.world.commit(case.name, {path("dev"): forged}, branch="drift/dev")
    case.merge(row.number or 0)
    await case.look()
    assert (await case.asked(), case.states()) == ([], ["open", "merged"])


@pytest.mark.long
@pytest.mark.parametrize("login", ["stranger", "dependabot[bot]"])
async def test_a_merge_by_somebody_unknown_applies_nothing_and_says_so_once(case: Case, login: str) -> None:
    row = await case.told(size())
    case.merge(row.number or 0, login)
    assert (await case.look()).state is _S.DECLINED
    await case.told(size())
    assert (await case.asked(), case.states()) == ([], ["merged"])
    assert [login in text for text in case.comments(row.number or 0)] == [True]


@pytest.mark.long
@pytest.mark.parametrize(
    ("ends", "state"),
    [(OperationState.REJECTED, _S.DECLINED), (OperationState.EXPIRED, _S.OPEN), (OperationState.PARKED, _S.OPEN)],
)
async def test_what_was_refused_rests_and_what_did_not_come_off_is_proposed_again(
    case: Case, ends: OperationState, state: ProposalState
) -> None:
    row = await case.told(size())
    case.merge(row.number or 0)
    await case.look()
    (operation,) = await case.asked()
    steps = {
        OperationState.REJECTED: (OperationState.SURVEYING, OperationState.AWAITING_APPROVAL, ends),
        OperationState.EXPIRED: (OperationState.SURVEYING, OperationState.AWAITING_APPROVAL, ends),
        OperationState.PARKED: (ends,),
    }
    before = operation.state
    for step in steps[ends]:
        entry = Entry(f"{operation.id}:{step}", utc_now(), "test", "test", operation.id, "test")
        moved = partial(OperationRecord.model_copy, update={"state": step})
        await operations.transition(case.name, operation.id, moved, entry, expect=[before])
        before = step
    row = await case.told(size())
    assert (row.state, row.number == 1) == (state, state is _S.DECLINED)


@pytest.mark.long
async def test_a_branch_of_a_person_is_left_alone(case: Case) -> None:
    head = case.world.github(f"{case.place}/git/ref/heads/main")["object"]["sha"]
    case.world.github(f"{case.place}/git/refs", "POST", {"ref": "refs/heads/drift/dev", "sha": head})
    detection = await case.drifts(size())
    outcome = await case.world.run("ensure_drift_proposal", ActivityInput(run=detection.run))
    assert not outcome.ok
    assert outcome.problem is not None
    assert "not ours" in outcome.problem.detail
    assert case.world.github(f"{case.place}/git/ref/heads/drift/dev")["object"]["sha"] == head


@pytest.mark.parametrize(
    "kind", ["kill-switch", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("hold", "freeze", "exemption"))]
)
@pytest.mark.parametrize("scene", ["open", pytest.param("withdraw", marks=pytest.mark.long)])
async def test_a_shield_keeps_it_back_and_the_detection_goes_on(case: Case, kind: str, scene: str) -> None:
    await _begun(case, scene)
    [*_, detection] = sorted(await operations.of_application(case.name), key=lambda item: item.created_at)
    run = Run(request_id=detection.id, application=case.name, branch="operation", environment="dev")
    async with laid(kind, case.world, case.record):
        with watched() as wire:
            await case.world.value("ensure_drift_proposal", ActivityInput(run=run))
            await case.look()
        assert str(wire) == ""
    await case.look()
    await _require(case, scene)


async def test_a_rate_limit_ends_the_round_and_the_next_one_goes_on(case: Case) -> None:
    row = await case.told(size())
    case.close(row.number or 0)
    limited = {"status": 403, "headers": {"Retry-After": "300"}, "body": {"message": "You have exceeded a rate limit"}}
    case.world.fault(system="github", method="GET", path=f"{case.name}/pulls", mode="status", times=1, **limited)
    assert (await case.look()).state is _S.OPEN
    assert (await case.look()).state is _S.DECLINED


@pytest.mark.long
async def test_three_at_once_leave_one_pull_request_and_one_comment(case: Case) -> None:
    async def thrice(detection: Detection) -> None:
        payload = ActivityInput(run=detection.run)
        await asyncio.gather(
            *(case.world.run("ensure_drift_proposal", payload) for _ in range(3)), return_exceptions=True
        )
        await case.world.value("ensure_drift_proposal", payload)

    await thrice(await case.drifts(size()))
    assert case.states() == ["open"]
    await thrice(await case.drifts(size("B_Standard_B4ms")))
    assert (case.states(), case.file("drift/dev")["findings"][0]["is"]) == (["open"], '"B_Standard_B4ms"')
    await thrice(await case.drifts([]))
    assert (case.states(), len(case.comments(1)), (await case.row()).state) == (["closed"], 1, _S.CLOSED)


class Killer:
    """Kills the process before or after the n-th call to GitHub or write of the proposal's row."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left, self.after = 0, True
        call, commit = _http.Vendor.call, _table.commit

        async def called(vendor: Any, sent: Any) -> Any:
            return await self._around(call(vendor, sent))

        async def written(*arguments: Any) -> Any:
            return await self._around(commit(*arguments))

        patch.setattr(_http.Vendor, "call", called)
        patch.setattr("shared.register.drift_proposals.commit", written)

    async def _around(self, work: Any) -> Any:
        self.left -= 1
        mine = self.left == 0  # a call may make others: for a token
        if mine and not self.after:
            work.close()
            raise WorkerDiedError
        result = await work
        if mine:
            raise WorkerDiedError
        return result


@pytest.mark.parametrize(
    ("after", "scene"),
    [
        (after, scene)
        for after in (True, False)
        for scene in ("open", "change", "withdraw", "merge", "others", "unknown")
    ],
)
@pytest.mark.long
@pytest.mark.timeout(600)
async def test_killed_at_any_call_it_ends_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, scene: str, after: bool
) -> None:
    killer = Killer(monkeypatch)
    for number in range(1, 60):
        case = Case(world, await owner(world))
        await _begun(case, scene)
        killer.left, killer.after = number, after
        died = await _dies(case)
        killer.left = 0
        await asyncio.gather(_dies(case))
        await _require(case, scene)
        if not died:
            assert number > 3, "nothing was killed"
            return
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize(("after", "number"), [(True, 3), (False, 9)])
async def test_a_sample_of_the_kills(case: Case, monkeypatch: pytest.MonkeyPatch, number: int, after: bool) -> None:
    await case.drifts(size())
    killer = Killer(monkeypatch)
    killer.left, killer.after = number, after
    assert await _dies(case)
    assert not await _dies(case)
    await _require(case, "open")


async def _dies(case: Case) -> bool:
    from activities.drift_proposals import settle  # noqa: PLC0415 - only here

    try:
        await settle(case.name, "dev")
    except WorkerDiedError:
        return True
    return False


async def _begun(case: Case, scene: str) -> None:
    """Everything but the last settling."""
    if scene == "open":
        await case.drifts(size())
        return
    await case.told(size())
    if scene == "change":
        await case.drifts(size("B_Standard_B4ms"))
    elif scene == "withdraw":
        await case.drifts([])
    else:
        case.merge(1, "stranger" if scene == "unknown" else MERGER)
        if scene == "others":
            await case.drifts(size("B_Standard_B4ms"))


async def _require(case: Case, scene: str) -> None:
    states = {
        "open": (_S.OPEN, ["open"], 0),
        "change": (_S.OPEN, ["open"], 0),
        "withdraw": (_S.CLOSED, ["closed"], 1),
        "merge": (_S.MERGED, ["merged"], 0),
        "others": (_S.OPEN, ["open", "merged"], 1),
        "unknown": (_S.DECLINED, ["merged"], 1),
    }
    row = await case.row()
    assert (row.state, case.states(), len(case.comments(1))) == states[scene]
    if row.state is _S.OPEN:
        shown = case.file("drift/dev")["findings"]
        assert [item["is"] for item in shown] == [
            item.difference.actual for item in await findings.of_application(case.name)
        ]
        assert [label["name"] for label in case.pulls()[0]["labels"]] == ["drift"]


@pytest.mark.long
async def test_killed_between_the_asking_and_its_row_the_sweep_asks_for_the_same(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await case.told(size())
    case.merge(row.number or 0)
    await case.look()

    async def lost(*_: Any, **__: Any) -> None:
        raise TransientIntegrationError(VendorCall("table storage", "write", 500), "the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr(proposals, "replace", lost)
        await case.asked()
    assert (await case.row()).state is _S.MERGED
    assert len(await case.asked()) == 1
    assert (await case.row()).state is _S.ASKED
