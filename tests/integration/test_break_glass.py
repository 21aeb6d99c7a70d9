"""Breaking the glass: bounded, told, reviewed, and of no use once it is over or against a rule."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import ConfigurationError, RequestRejectedError, StateConflictError
from shared.identity import Caller
from shared.models.break_glass import BreakGlass
from shared.models.messages import SendAgain
from shared.models.records import RequestRecord, RequestState
from shared.models.runs import ActivityInput
from shared.register import intents, requests, reviews
from tests.approvals import SHOWN, change, put_up, text
from tests.integration.test_approvals import DELEGATE, ask, now, person, trail
from tests.integration.world import World, run_of
from triggers.http_break_glass import break_glass, close_review, list_reviews
from triggers.http_decisions import approve_request, retry_request

_S = RequestState
OPERATOR = person("operator", "Operator", teams=("platform",))
REVIEWER = person("admin", "Admin")
WANTED = {
    "planDigest": SHOWN,
    "reason": "the shop is down and this repairs it",
    "ticket": "INC0012345",
    "hours": 2,
    "secondPerson": "auditor@contoso.com",
}
JUDGED = {"justified": True, "findings": "the outage was real"}


async def _waiting(world: World) -> RequestRecord:
    return await put_up(await world.order())


async def _break(record: RequestRecord, who: Caller = OPERATOR, **changes: Any) -> RequestRecord:
    await break_glass(ask(who, {**WANTED, **changes}, id=record.id))
    return await now(record)


async def test_it_stands_for_the_missing_approvals_is_told_once_and_opens_a_review(world: World) -> None:
    record = await _break(await _waiting(world))
    assert (record.state, record.approved_digest, record.approvals) == (_S.PROVISIONING, SHOWN, [])
    assert record.break_glass is not None
    length = datetime.fromisoformat(record.break_glass.expires_at) - datetime.fromisoformat(
        record.break_glass.granted_at
    )
    assert length == timedelta(hours=2)
    (said,) = await requests.decisions(record.application, record.id)
    assert (said.decision, said.actor) == ("break_glass", OPERATOR.id)
    for part in ("INC0012345", "without platform", "the shop is down", "told auditor@contoso.com"):
        assert part in (said.reason or "")
    assert (await trail(record))[-1] == "break_glass"
    (told,) = await intents.of_request(record.application, record.id)
    send = SendAgain(run=run_of(record), kind=told.kind, occasion=told.occasion)
    for _ in range(2):
        await world.value("send_due", send)
    (message,) = world.told(record)
    for part in ("auditor@contoso.com", "operator@contoso.com", "INC0012345", record.break_glass.expires_at):
        assert part in message
    (review,) = await reviews.of_request(record.application, record.id)
    assert (review.state, review.grant) == ("open", record.break_glass)


async def test_the_review_is_closed_once_and_by_somebody_else(world: World) -> None:
    boss = person("boss", "Operator", "Admin")
    record = await _break(await _waiting(world), boss)
    place = {"id": record.id, "number": "1"}
    open_now = (await list_reviews(ask(REVIEWER))).document["reviews"]
    assert record.id in {item["requestId"] for item in open_now if item["state"] == "open"}
    for who, said in (
        (boss, "broke the glass does not"),
        (person("auditor", "Auditor", service=True), "service principal"),
        (OPERATOR, "needs the role"),
    ):
        with pytest.raises(RequestRejectedError, match=said) as refused:
            await close_review(ask(who, JUDGED, **place))
        assert refused.value.status == 403
    own = await change(record, requester=REVIEWER.id)
    with pytest.raises(RequestRejectedError, match="The requester cannot review"):
        await close_review(ask(REVIEWER, JUDGED, **place))
    await change(own, requester=record.requester)
    answers = await asyncio.gather(
        close_review(ask(REVIEWER, JUDGED, **place)),
        close_review(ask(DELEGATE, {"justified": False, "findings": "it could have waited"}, **place)),
        return_exceptions=True,
    )
    refused_ones = [answer for answer in answers if isinstance(answer, RequestRejectedError)]
    assert [error.code for error in refused_ones] == ["review-closed"]
    (review,) = await reviews.of_request(record.application, record.id)
    assert (review.state, review.reviewer in (REVIEWER.id, DELEGATE.id)) == ("closed", True)
    assert (await trail(record)).count("review") == 1
    with pytest.raises(RequestRejectedError) as again:
        await close_review(ask(REVIEWER, JUDGED, **place))
    assert again.value.code == "review-closed"
    for number in ("2", "x", "-1", "9" * 9):
        with pytest.raises(RequestRejectedError) as unknown:
            await close_review(ask(REVIEWER, JUDGED, id=record.id, number=number))
        assert unknown.value.status == 404


async def test_an_unbounded_or_unseen_one_is_refused(world: World) -> None:
    record = await _waiting(world)
    for wrong, pointer in (
        ({"hours": 8.01}, "/hours"),
        ({"hours": 0}, "/hours"),
        ({"hours": 1e-9}, "/hours"),
        ({"hours": "forever"}, "/hours"),
        ({"reason": "because"}, "/reason"),
        ({"reason": " " * 20}, "/reason"),
        ({"ticket": ""}, "/ticket"),
        ({"ticket": "later"}, "/ticket"),
        ({"secondPerson": "operator@contoso.com"}, "/secondPerson"),
        ({"secondPerson": OPERATOR.id}, "/secondPerson"),
        ({"secondPerson": "requester"}, "/secondPerson"),
        ({"secondPerson": "nobody@contoso.com"}, "/secondPerson"),
        ({"secondPerson": "bot"}, "/secondPerson"),
        ({"force": True}, "/force"),
    ):
        with pytest.raises(RequestRejectedError) as refused:
            await _break(record, **wrong)
        assert (refused.value.status, refused.value.pointer) == (422, pointer), wrong
    assert (await now(record)).state is _S.AWAITING_APPROVAL
    assert await reviews.of_request(record.application, record.id) == []


def test_an_unbounded_grant_cannot_be_written_down() -> None:
    good = {
        "plan_digest": SHOWN, "actor": "a", "actor_name": "a", "reason": "r", "ticket": "t", "second_person": "s",
        "granted_at": "2026-11-25T12:00:00.000Z", "expires_at": "2026-11-25T20:00:00.000Z",
    }  # fmt: skip
    assert BreakGlass.model_validate(good)
    for wrong in (
        {"expires_at": "2026-11-25T20:00:00.001Z"},
        {"expires_at": good["granted_at"]},
        {"expires_at": "2026-11-24T20:00:00.000Z"},
        {"expires_at": None},
        {"reason": " "},
        {"ticket": ""},
        {"second_person": ""},
    ):
        with pytest.raises((ValidationError, TypeError)):
            BreakGlass.model_validate({**good, **wrong})


async def test_only_operators_and_admins_and_never_a_service(world: World) -> None:
    record = await _waiting(world)
    for who, said in (
        (person("bot", "Operator", "Admin", service=True), "service principal"),
        (person("approver", "Approver"), "needs the role"),
        (person("auditor", "Auditor"), "needs the role"),
    ):
        with pytest.raises(RequestRejectedError, match=said) as refused:
            await _break(record, who)
        assert refused.value.status == 403


async def test_the_requester_may_when_the_role_is_there_because_it_is_seen_and_reviewed(world: World) -> None:
    record = await change(await _waiting(world), requester=OPERATOR.id)
    assert (await _break(record)).state is _S.PROVISIONING


async def test_without_a_chat_nobody_could_be_told(world: World) -> None:
    record = await change(await _waiting(world), systems=["servicenow"])
    with pytest.raises(ConfigurationError, match="nobody can be told") as refused:
        await _break(record)
    assert refused.value.variable == "TEAMS_KEY_VAULT"


async def test_a_directory_that_is_down_does_not_stop_an_emergency(world: World) -> None:
    world.fault(system="microsoft_graph", path="/users/", mode="status", status=403, times=None)
    record = await _break(await _waiting(world))
    assert record.break_glass is not None
    assert record.break_glass.second_person == "auditor@contoso.com (not looked up)"


async def test_it_is_for_the_plan_that_was_shown_and_passes_no_rule(world: World) -> None:
    record = await _waiting(world)
    with pytest.raises(RequestRejectedError, match="not the plan you were shown"):
        await _break(record, planDigest="b" * 64)
    assert record.plan is not None
    older = record.plan.model_copy(update={"pins": record.plan.pins.model_copy(update={"rules_revision": "older"})})
    record = await change(record, plan=older)
    with pytest.raises(RequestRejectedError, match="a new plan is on its way"):
        await _break(record)
    assert (await now(record)).state is _S.PLANNING  # and set_plan raises PolicyViolationError if the rules now deny
    record = await _waiting(world)
    for state in (_S.PLANNING, _S.PARKED, _S.REJECTED, _S.EXPIRED, _S.CANCELLED):
        with pytest.raises(StateConflictError, match="Too late"):
            await _break(await change(record, state=state))


async def _over(record: RequestRecord) -> RequestRecord:
    """The grant ended an hour ago."""
    assert record.break_glass is not None
    then = datetime.now(UTC) - timedelta(hours=3)
    times = {"granted_at": text(then), "expires_at": text(then + timedelta(hours=2))}
    return await change(record, break_glass=record.break_glass.model_copy(update=times))


async def test_a_grant_that_ended_before_it_was_used_leaves_the_plan_unapproved(world: World) -> None:
    record = await _over(await _break(await _waiting(world)))
    use = ActivityInput(run=run_of(record))
    for _ in range(2):
        await world.value("use_break_glass", use)
    record = await now(record)
    assert (record.state, record.approved_digest, record.break_glass) == (_S.AWAITING_APPROVAL, None, None)
    assert (await trail(record)).count("end_break_glass") == 1
    assert datetime.fromisoformat(record.decide_before or "") > datetime.now(UTC)
    (ended,) = [item for item in await intents.of_request(record.application, record.id) if item.kind == "grant_ended"]
    for _ in range(2):
        await world.value("send_due", SendAgain(run=run_of(record), kind=ended.kind, occasion=ended.occasion))
    (message,) = [text for text in world.told(record) if "needs its approvals again" in text]
    assert "platform: " in message
    assert record.decide_before
    assert record.decide_before in message
    await approve_request(ask(person("approver", "Approver"), {"planDigest": SHOWN}, id=record.id))
    record = await now(record)
    assert (record.state, record.break_glass) == (_S.PROVISIONING, None)


async def test_a_grant_holds_for_a_retry_only_while_it_lasts(world: World) -> None:
    record = await _break(await _waiting(world))
    await world.value("use_break_glass", ActivityInput(run=run_of(record)))
    assert ((await now(record)).state, (await trail(record))[-1]) == (_S.PROVISIONING, "use_break_glass")
    record = await _over(await change(await now(record), state=_S.PARKED))
    await retry_request(ask(OPERATOR, None, id=record.id))
    record = await now(record)
    assert (record.state, record.attempt) == (_S.PROVISIONING, 2)
    run = run_of(record).model_copy(update={"attempt": 2})
    await world.value("use_break_glass", ActivityInput(run=run))
    assert (await now(record)).state is _S.AWAITING_APPROVAL
    second = await _break(record)
    assert second.state is _S.PROVISIONING
    assert [item.number for item in await reviews.of_request(record.application, record.id)] == [1, 2]


async def test_broken_glass_and_an_approval_at_the_same_instant_have_one_winner(world: World) -> None:
    for _ in range(2):
        record = await _waiting(world)
        outcomes = await asyncio.gather(
            break_glass(ask(OPERATOR, WANTED, id=record.id)),
            break_glass(ask(REVIEWER, WANTED, id=record.id)),
            approve_request(ask(person("approver", "Approver"), {"planDigest": SHOWN}, id=record.id)),
            return_exceptions=True,
        )
        unexpected = [o for o in outcomes if isinstance(o, BaseException) and not isinstance(o, StateConflictError)]
        assert not unexpected
        record = await now(record)
        said = [str(item.decision) for item in await requests.decisions(record.application, record.id)]
        assert said in (["approve"], ["break_glass"])
        assert (record.break_glass is not None) is (said == ["break_glass"])
        assert len(await reviews.of_request(record.application, record.id)) == said.count("break_glass")
