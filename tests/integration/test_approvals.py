"""Who could decide, who decides for whom, what ServiceNow decides, and what happens when nobody does."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.vendors.entra.directory import object_id
from shared import approvers
from shared.approvals import ApprovalNeed, Approvers
from shared.errors import ConfigurationError, IntegrationError, RequestRejectedError, StateConflictError
from shared.identity import Caller, authenticate
from shared.models.application_request import ApplicationRequest
from shared.models.approval import PlanDecision
from shared.models.delegations import Delegation
from shared.models.messages import MessageKind, SendNotice
from shared.models.records import DecisionRecord, RequestRecord, RequestState
from shared.models.runs import ActivityInput
from shared.register import audit, delegations, intents, requests
from tests.approvals import SHOWN, change, put_up, text
from tests.e2e.driver import body
from tests.integration.world import REQUESTER, DurableClient, World, caller, run_of
from triggers._http import Call
from triggers._intake import judge, preview_document, take_in
from triggers.http_decisions import approve_request, reject_request, retry_request
from triggers.http_delegations import create_delegation, list_delegations, revoke_delegation
from triggers.http_requests import get_plan, get_request

_S = RequestState
PEOPLE = {
    "approver": {"roles": ["Approver"], "teams": ["platform"]},
    "finops": {"roles": ["FinOps", "Approver"], "teams": ["finance"]},
    "admin": {"roles": ["Admin"], "teams": ["platform"]},
}
TWO = ApprovalNeed(rule="two", any_of_roles=("Approver",), count=2)


@pytest.fixture
async def directory(world: World) -> AsyncIterator[World]:
    """The world; what a test changes in the directory is put back."""
    yield world
    documents = {f"personas/{name}": entry for name, entry in PEOPLE.items()}
    nobody: dict[str, Any] = {
        f"personas/{name}": {"roles": [], "teams": []} for name in ("solo", "direct", "nested", "gone")
    }
    groups: dict[str, Any] = {f"groups/{name}": {"roles": [], "in": []} for name in ("board", "inner")}
    world.seed("entra", documents | nobody | groups)


def person(name: str, *roles: str, teams: tuple[str, ...] = (), service: bool = False) -> Caller:
    """A persona as its token says, with its object id."""
    who = caller(f"{name}@contoso.com", *roles, teams=teams)
    return replace(who, id=object_id(name), is_service=service)


def ask(who: Caller, content: Any = None, **params: str) -> Call:
    client: Any = DurableClient()
    raw = b"" if content is None else json.dumps(content).encode()
    return Call(who, params, {}, {"content-type": "application/json"}, client, raw, "/api")


async def approve(who: Caller, record: RequestRecord, **more: str) -> None:
    await approve_request(ask(who, {"planDigest": SHOWN, **more}, id=record.id))


async def now(record: RequestRecord) -> RequestRecord:
    return await requests.get(record.application, record.id)


async def trail(record: RequestRecord) -> list[str]:
    return [entry.action for entry in await audit.of_application(record.application) if entry.request_id == record.id]


async def waiting(world: World, *needs: ApprovalNeed, **more: Any) -> RequestRecord:
    """A request that waits for approvals, asked for by the persona `requester`."""
    record = await world.order()
    asked = {"requester": object_id("requester"), "requester_name": "requester@contoso.com"}
    record = record.model_copy(update=asked)
    wanted = [need.model_copy(update={"not_by": (record.requester,)}) for need in needs] if needs else None
    return await put_up(record, wanted, **more)


# -- nobody but the requester ----------------------------------------------------------------------------------------


def _alone(world: World, **entry: Any) -> Caller:
    """Nobody holds Approver but one person, who wants something."""
    documents = {"approver": [], "finops": ["FinOps"]}
    world.seed("entra", {f"personas/{name}": {"roles": roles, "teams": []} for name, roles in documents.items()})
    world.seed("entra", {"personas/solo": {"roles": ["Requester", "Approver"], "teams": ["payments"], **entry}})
    return person("solo", "Requester", "Approver", teams=("payments",))


async def test_a_request_that_only_its_requester_could_approve_is_refused(directory: World) -> None:
    solo = _alone(directory)
    judged = await judge(ApplicationRequest.model_validate(body("alone-api")), solo)
    preview = preview_document(judged)["approvers"]
    assert (preview["checked"], preview["lacking"]) == (True, ["platform"])
    assert "platform" in preview["warning"]
    client: Any = DurableClient()
    with pytest.raises(RequestRejectedError, match=r"rule platform \(One approver") as refused:
        await take_in(client, solo, "alone", judged)
    assert (refused.value.code, refused.value.status) == ("no-approver", 422)
    assert await requests.application("alone-api") is None
    others = await judge(ApplicationRequest.model_validate(body("alone-api")), REQUESTER)
    assert others.eligible.lacking == ()  # somebody else can ask, and solo approves


async def test_a_service_principal_that_holds_the_role_is_nobody(directory: World) -> None:
    """The application `bot` is assigned Approver all the time."""
    _alone(directory, roles=["Requester"])
    assert [need.rule for need in (await judge(_any(), REQUESTER)).eligible.lacking] == ["platform"]


@pytest.mark.parametrize("through", ["person", "group"])
async def test_who_may_not_sign_in_any_more_could_not_approve(directory: World, through: str) -> None:
    _alone(directory, roles=["Requester"])
    gone = {"roles": ["Approver"], "teams": []} if through == "person" else {"roles": [], "teams": ["board"]}
    directory.seed("entra", {"groups/board": {"roles": ["Approver"], "in": []}, "personas/gone": gone})
    assert (await judge(_any(), REQUESTER)).eligible.lacking == ()
    directory.seed("entra", {"personas/gone": {**gone, "enabled": False}})
    approvers._kept().good_until = 0
    lacking = (await judge(_any(), REQUESTER)).eligible
    assert [need.rule for need in lacking.lacking] == ["platform"]
    assert str(lacking.nobody).endswith("Give the role Approver to somebody else whose account is enabled.")
    roles, _ = await approvers.authority_of(object_id("gone"))
    assert roles == frozenset(), "nothing is left to delegate"


def _any() -> ApplicationRequest:
    return ApplicationRequest.model_validate(body("any-api"))


@pytest.mark.parametrize(("name", "member_of", "lacking"), [("direct", "board", []), ("nested", "inner", ["platform"])])
async def test_a_role_reaches_the_direct_members_of_a_group_only(
    directory: World, name: str, member_of: str, lacking: list[str]
) -> None:
    _alone(directory, roles=["Requester"])
    groups = {"groups/board": {"roles": ["Approver"], "in": []}, "groups/inner": {"roles": [], "in": ["board"]}}
    directory.seed("entra", groups | {f"personas/{name}": {"roles": [], "teams": [member_of]}})
    assert [need.rule for need in (await judge(_any(), REQUESTER)).eligible.lacking] == lacking
    headers = {key.lower(): value for key, value in directory.stack.bearer(name).items()}
    assert ("Approver" in (await authenticate(headers)).roles) is not bool(lacking)


async def test_a_team_reaches_the_members_of_its_groups_too(directory: World) -> None:
    need = ApprovalNeed(rule="team", any_of_teams=("security",))
    assert (await approvers.eligible([need])).lacking == (need,)
    directory.seed("entra", {"groups/inner": {"roles": [], "in": ["security"]}})
    directory.seed("entra", {"personas/nested": {"roles": ["Requester"], "teams": ["inner"]}})
    assert (await approvers.eligible([need])).lacking == (need,)  # in the team, but without a role that decides
    directory.seed("entra", {"personas/finops": {"roles": ["FinOps"], "teams": ["inner"]}})
    assert (await approvers.eligible([need])).lacking == ()


async def test_people_are_counted_apart_and_over_all_pages(directory: World) -> None:
    three = ApprovalNeed(rule="three", any_of_roles=("Approver",), count=3)
    both = ApprovalNeed(rule="both", all_of=(Approvers(roles=("Approver",)), Approvers(roles=("FinOps",))))
    assert (await approvers.eligible([TWO])).lacking == ()
    assert (await approvers.eligible([three])).lacking == (three,)
    assert (await approvers.eligible([both])).lacking == ()
    assert (await approvers.eligible([both, TWO])).lacking == (TWO,)
    many = {f"personas/many{number}": {"roles": ["Requester"], "teams": ["board"]} for number in range(1100)}
    directory.seed("entra", many | {"groups/board": {"roles": ["Approver"], "in": []}})
    approvers._kept().good_until = 0
    try:
        began = directory.position()
        assert (await approvers.eligible([three])).lacking == ()
        assert len(approvers._kept().roles["Approver"]) == 1102
        pages = [call["url"] for call in directory.calls(began, "microsoft_graph") if "/members?" in call["url"]]
        assert len(pages) == 2
    finally:
        directory.seed("entra", {name: {"roles": [], "teams": []} for name in many})


@pytest.mark.parametrize("status", [403, 404])
async def test_without_graph_nobody_is_kept_from_ordering_and_the_preview_says_so(world: World, status: int) -> None:
    world.fault(system="microsoft_graph", path="/servicePrincipals", mode="status", status=status, times=None)
    judged = await judge(ApplicationRequest.model_validate(body(f"unknown{status}-api")), REQUESTER)
    told = preview_document(judged)["approvers"]
    assert (told["checked"], told["lacking"]) == (False, [])
    assert "microsoft graph: find service principal" in told["warning"]
    client: Any = DurableClient()
    assert (await take_in(client, REQUESTER, f"unknown-{status}", judged)).state is _S.RECEIVED


# -- the requester in every disguise ---------------------------------------------------------------------------------


async def test_self_approval_is_refused_however_the_requester_comes(directory: World) -> None:
    """By a role of a group, by a token that another client got, and as a service principal."""
    groups = {"groups/board": {"roles": ["Approver"], "in": []}}
    directory.seed("entra", groups | {"personas/solo": {"roles": ["Requester"], "teams": ["payments", "board"]}})
    stack = directory.stack
    tenant, audience = stack.settings["ENTRA_TENANT_ID"], stack.settings["ENTRA_AUDIENCE"]
    url = f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
    forms = [
        {"grant_type": "password", "username": "solo", "password": "solo", "client_id": client}
        for client in ("appstore-cli", "another-application")
    ] + [{"grant_type": "client_credentials", "client_id": "bot", "client_secret": "bot"}]
    record = await waiting(directory)
    record = await change(record, requester=object_id("solo"), requester_name="solo@contoso.com")
    words = ["The requester cannot approve.", "The requester cannot approve.", "A service principal cannot"]
    for form, said in zip(forms, words, strict=True):
        granted = stack.vendors.post(url, data={"scope": f"{audience}/.default", **form}).json()
        who = await authenticate({"authorization": f"Bearer {granted['access_token']}"})
        assert "Approver" in who.roles
        with pytest.raises(RequestRejectedError, match=said) as refused:
            await approve(who, record)
        assert refused.value.status == 403
    assert (await now(record)).approvals == []
    await approve(person("approver", "Approver"), record)
    assert (await now(record)).state is _S.PROVISIONING


# -- delegation ------------------------------------------------------------------------------------------------------

DELEGATOR = person("approver", "Approver", teams=("platform",))
DELEGATE = person("auditor", "Auditor")


def soon(**time: float) -> str:
    return text(datetime.now(UTC) + timedelta(**time))


@pytest.fixture(autouse=True)
async def _nothing_delegated(world: World) -> None:
    """What other tests left is taken back."""
    assert world
    for item in await delegations.every():
        await delegations.revoke(item, "test")


async def delegate(who: Caller = DELEGATOR, to: str = "auditor@contoso.com", **more: Any) -> dict[str, Any]:
    wanted = {"delegate": to, "until": soon(days=3), "reason": "holiday", **more}
    document: dict[str, Any] = (await create_delegation(ask(who, wanted))).document
    return document


async def test_a_delegate_decides_for_the_delegator_and_it_is_recorded_so(world: World) -> None:
    record = await waiting(world)
    with pytest.raises(RequestRejectedError, match="not delegated to you"):
        await approve(DELEGATE, record, onBehalfOf=DELEGATOR.id)
    made = await delegate()
    assert (made["roles"], made["teams"]) == (["Approver"], ["platform"])
    with pytest.raises(RequestRejectedError, match="needs the role"):
        await approve(DELEGATE, record)
    await approve(DELEGATE, record, onBehalfOf=DELEGATOR.id)
    record = await now(record)
    assert record.state is _S.PROVISIONING
    (said,) = record.approvals
    assert (said.actor, said.on_behalf_of, said.on_behalf_of_name) == (
        DELEGATE.id, DELEGATOR.id, "approver@contoso.com",
    )  # fmt: skip
    assert said.roles == ["Approver"]
    await revoke_delegation(ask(DELEGATOR, id=made["id"]))


async def test_delegator_and_delegate_are_one_and_the_requester_is_none(world: World) -> None:
    made = [await delegate(), await delegate(to="requester@contoso.com")]
    record = await waiting(world, TWO)
    await approve(DELEGATOR, record)
    await approve(DELEGATE, record, onBehalfOf=DELEGATOR.id)
    assert (await now(record)).state is _S.AWAITING_APPROVAL
    requester = person("requester", "Requester", teams=("payments",))
    with pytest.raises(RequestRejectedError, match="requester cannot approve"):
        await approve(requester, record, onBehalfOf=DELEGATOR.id)
    await approve(person("finops", "FinOps", "Approver"), record)
    assert (await now(record)).state is _S.PROVISIONING
    own = await change(await waiting(world), requester=DELEGATOR.id)
    with pytest.raises(RequestRejectedError, match="requester's authority") as refused:
        await approve(DELEGATE, own, onBehalfOf=DELEGATOR.id)
    assert (refused.value.status, refused.value.pointer) == (403, "/onBehalfOf")
    for item in made:
        await revoke_delegation(ask(DELEGATOR, id=item["id"]))


async def test_delegated_authority_is_as_large_as_what_the_delegator_has_today(directory: World) -> None:
    made, record = await delegate(), await waiting(directory)
    directory.seed("entra", {"personas/approver": {"roles": ["Requester"], "teams": []}})
    with pytest.raises(RequestRejectedError, match="needs the role"):
        await approve(DELEGATE, record, onBehalfOf=DELEGATOR.id)
    directory.fault(system="microsoft_graph", mode="status", status=403, times=None)
    with pytest.raises(IntegrationError):
        await approve(DELEGATE, record, onBehalfOf=DELEGATOR.id)
    assert (await now(record)).approvals == []
    await revoke_delegation(ask(DELEGATOR, id=made["id"]))


async def test_a_delegation_ends_by_itself_and_when_it_is_taken_back(world: World) -> None:
    made = await delegate()
    over = {**made, "id": "del-over", "createdAt": soon(days=-2), "until": soon(seconds=-1)}
    await delegations.create(Delegation.model_validate(over))
    await revoke_delegation(ask(DELEGATOR, id=made["id"]))
    listed = (await list_delegations(ask(DELEGATE))).document["delegations"]
    assert [item["holds"] for item in listed if item["id"] in (made["id"], "del-over")] == [False, False]
    record = await waiting(world)
    with pytest.raises(RequestRejectedError, match="not delegated to you"):
        await approve(DELEGATE, record, onBehalfOf=DELEGATOR.id)
    made = await delegate(reason="another one")
    stranger = person("operator", "Operator")
    with pytest.raises(RequestRejectedError, match="no delegation") as refused:
        await revoke_delegation(ask(stranger, id=made["id"]))
    assert refused.value.status == 404
    for _ in range(2):
        answer = await revoke_delegation(ask(DELEGATE, id=made["id"]))
        assert answer.document["revokedAt"]
    with pytest.raises(RequestRejectedError, match="not delegated to you"):
        await approve(DELEGATE, record, onBehalfOf=DELEGATOR.id)
    trails = await audit.of_application("directory:delegations")
    assert [entry.action for entry in trails if entry.request_id == made["id"]] == ["delegate", "revoke"]
    assert [entry.action for entry in trails if entry.request_id == "del-over"] == ["delegate"]


async def test_a_delegate_without_any_role_sees_what_is_to_be_decided(world: World) -> None:
    record, guest = await waiting(world), person("requester2", "Requester", teams=("web",))
    with pytest.raises(RequestRejectedError, match="no request"):
        await get_request(ask(guest, id=record.id))
    made = await delegate(to="requester2@contoso.com")
    assert (await get_request(ask(guest, id=record.id))).document["openApprovals"] == ["platform"]
    await approve(guest, record, onBehalfOf=DELEGATOR.id)
    await revoke_delegation(ask(DELEGATOR, id=made["id"]))
    with pytest.raises(RequestRejectedError, match="no request"):
        await get_plan(ask(guest, id=record.id))


@pytest.mark.parametrize(
    ("who", "wrong", "status", "pointer"),
    [
        (DELEGATOR, {"delegate": "bot"}, 422, "/delegate"),
        (DELEGATOR, {"delegate": "nobody@contoso.com"}, 422, "/delegate"),
        (DELEGATOR, {"delegate": "approver@contoso.com"}, 422, "/delegate"),
        (DELEGATOR, {"until": soon(days=31)}, 422, "/until"),
        (DELEGATOR, {"until": soon(days=-1)}, 422, "/until"),
        (DELEGATOR, {"until": "2026-12-24T12:00:00"}, 422, "/until"),
        (DELEGATOR, {"until": "0001-01-01T00:00:00+10:00"}, 422, "/until"),
        (DELEGATOR, {"roles": ["Operator"]}, 422, "/roles/0"),
        (DELEGATOR, {"roles": ["Admin"]}, 403, "/roles"),
        (DELEGATOR, {"roles": []}, 422, "/roles"),
        (DELEGATOR, {"teams": ["security"]}, 403, "/teams"),
        (DELEGATE, {}, 403, None),
        (person("bot", "Approver", service=True), {}, 403, None),
    ],
)
async def test_what_cannot_be_delegated_is_refused(
    world: World, who: Caller, wrong: dict[str, Any], status: int, pointer: str | None
) -> None:
    assert world
    with pytest.raises(RequestRejectedError) as refused:
        await delegate(who, **{"to": wrong.pop("delegate", "auditor@contoso.com"), **wrong})
    assert (refused.value.status, refused.value.pointer) == (status, pointer)


# -- reminder, escalation ---------------------------------------------------------------------------------------------


async def test_a_reminder_is_told_once_a_round_and_not_once_it_was_decided(world: World) -> None:
    record = await waiting(world)
    notice = SendNotice(run=run_of(record), kind=MessageKind.REMINDER, occasion=1)
    for _ in range(2):
        await world.value("send_notice", notice)
    await world.value("send_notice", notice.model_copy(update={"occasion": 2}))
    (first, _) = world.told(record)
    assert "One approver who did not ask for it. Approver." in first
    assert [item.occasion for item in await intents.of_request(record.application, record.id)] == [1, 2]
    await approve(person("approver", "Approver"), record)
    late = notice.model_copy(update={"kind": MessageKind.ESCALATION, "occasion": 1})
    assert (await world.value("send_notice", late))["detail"] == "decided meanwhile"
    assert len(world.told(record)) == 2


async def test_an_escalation_widens_the_circle_and_counts_what_was_said_before(world: World) -> None:
    record, root = await waiting(world), person("admin", "Admin")
    await approve(root, record)
    assert (await now(record)).state is _S.AWAITING_APPROVAL
    escalate = PlanDecision(run=run_of(record, "approval"), digest=SHOWN)
    other = escalate.model_copy(update={"digest": "b" * 64})
    assert "another plan" in (await world.value("escalate_request", other))["detail"]
    for _ in range(2):
        await world.value("escalate_request", escalate)
    record = await now(record)
    assert (record.state, record.approved_digest) == (_S.PROVISIONING, SHOWN)
    assert [action for action in await trail(record) if action == "escalate"] == ["escalate"]


async def test_after_the_escalation_the_wider_circle_decides_and_the_requester_still_does_not(world: World) -> None:
    record = await waiting(world)
    await world.value("escalate_request", PlanDecision(run=run_of(record, "approval"), digest=SHOWN))
    with pytest.raises(RequestRejectedError, match="requester cannot approve"):
        await approve(person("requester", "Admin"), record)
    await approve(person("admin", "Admin"), record)
    assert (await now(record)).state is _S.PROVISIONING


async def test_a_late_approval_is_refused_and_changes_nothing(world: World) -> None:
    record = await waiting(world, decide_before=soon(seconds=-1))
    with pytest.raises(StateConflictError, match="Too late to approve"):
        await approve(person("approver", "Approver"), record)
    assert (await now(record)).approvals == []


async def test_a_retry_of_what_nobody_approved_plans_anew(world: World) -> None:
    record = await change(await waiting(world), state=_S.PARKED)
    await retry_request(ask(person("operator", "Operator"), None, id=record.id))
    record = await now(record)
    assert (record.state, record.round, record.attempt, record.approvals) == (_S.PLANNING, 2, 2, [])


# -- ServiceNow ------------------------------------------------------------------------------------------------------

BOARD = ApprovalNeed(rule="change-board", decided_in="servicenow")
APPROVALS = "/api/now/table/sysapproval_approver"


def decide_there(world: World, record: RequestRecord, state: str, user: str = "", comments: str = "") -> None:
    """What an approver of the instance does; without a user the change manager does it."""
    changes = [item for item in of(world, record) if item["state"] != "4"]
    (asked,) = [
        item
        for item in world.servicenow(f"{APPROVALS}?sysparm_query=sysapproval={changes[-1]['sys_id']}")
        if item["state"] == "requested"
    ]
    fields = {"state": state, "comments": comments} | ({"approver": user} if user else {})
    place = f"https://contoso.service-now.com{APPROVALS}/{asked['sys_id']}"
    world.stack.vendors.patch(place, json=fields, headers=world._servicenow).raise_for_status()


def of(world: World, record: RequestRecord) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.servicenow(
        f"/api/now/table/change_request?sysparm_query=correlation_id={record.id}^ORDERBYnumber"
    )
    return found


def user(world: World, name: str, email: str) -> str:
    place = "https://contoso.service-now.com/api/now/table/sys_user"
    answer = world.stack.vendors.post(place, json={"user_name": name, "email": email}, headers=world._servicenow)
    answer.raise_for_status()
    return str(answer.json()["result"]["sys_id"])


@pytest.fixture
async def by_hand(world: World) -> AsyncIterator[World]:
    """The instance waits for people."""
    world.seed("servicenow", {"settings/manual-approval": True})
    yield world
    world.seed("servicenow", {"settings/manual-approval": False})


async def look(world: World, record: RequestRecord, digest: str = SHOWN) -> str:
    payload = PlanDecision(run=run_of(record, "records"), digest=digest)
    await world.value("request_change_approval", payload)
    return str((await world.value("read_change_approval", payload))["detail"])


async def test_the_change_boards_approval_is_the_approval(by_hand: World) -> None:
    record = await waiting(by_hand, BOARD)
    assert "requested" in await look(by_hand, record)
    with pytest.raises(RequestRejectedError, match="needs the role"):
        await approve(person("operator", "Operator"), record)
    await approve(person("approver", "Approver"), record)  # said, and no answer to this need
    assert (await now(record)).state is _S.AWAITING_APPROVAL
    decide_there(by_hand, record, "approved")
    for _ in range(2):
        await look(by_hand, record)
    record = await now(record)
    assert (record.state, record.approved_digest) == (_S.PROVISIONING, SHOWN)
    assert [(item.actor, item.decided_in) for item in record.approvals if item.decided_in == "servicenow"] == [
        ("servicenow:change.manager", "servicenow")
    ]
    decisions = await requests.decisions(record.application, record.id)
    assert [item.actor_name for item in decisions] == ["approver@contoso.com", "change.manager@contoso.com"]
    (there,) = of(by_hand, record)
    payload = ActivityInput(run=run_of(record, "records"))
    await by_hand.value("open_change", payload)
    await by_hand.value("start_change", payload)
    assert [(item["sys_id"], item["state"]) for item in of(by_hand, record)] == [(there["sys_id"], "-1")]


async def test_nobody_approves_there_what_they_asked_for_here(by_hand: World) -> None:
    record = await waiting(by_hand, BOARD)
    await look(by_hand, record)
    decide_there(by_hand, record, "approved", user(by_hand, "rq", "Requester@contoso.com"))
    for _ in range(2):
        await look(by_hand, record)
    record = await now(record)
    assert (record.state, len(record.approvals)) == (_S.AWAITING_APPROVAL, 1)


async def test_our_own_user_approves_nothing_there(by_hand: World) -> None:
    record = await waiting(by_hand, BOARD)
    await look(by_hand, record)
    (there,) = of(by_hand, record)
    place = f"https://contoso.service-now.com/api/sn_chg_rest/v1/change/{there['sys_id']}/approvals"
    by_hand.stack.vendors.patch(place, json={"state": "approved"}, headers=by_hand._servicenow).raise_for_status()
    assert "by nobody who counts" in await look(by_hand, record)
    record = await now(record)
    assert (record.state, record.approvals) == (_S.AWAITING_APPROVAL, [])


async def test_one_person_is_one_in_both_systems(by_hand: World) -> None:
    (platform,) = [ApprovalNeed(rule="platform", any_of_roles=("Approver",))]
    record = await waiting(by_hand, platform, BOARD)
    await approve(person("approver", "Approver"), record)
    await look(by_hand, record)
    decide_there(by_hand, record, "approved", user(by_hand, "ap", "approver@contoso.com"))
    await look(by_hand, record)
    assert (await now(record)).state is _S.AWAITING_APPROVAL
    await approve(person("finops", "FinOps", "Approver"), record)
    assert (await now(record)).state is _S.PROVISIONING


@pytest.mark.parametrize("how", ["rejected", "cancelled"])
async def test_rejected_there_is_rejected_here(by_hand: World, how: str) -> None:
    record = await waiting(by_hand, BOARD)
    await look(by_hand, record)
    if how == "rejected":
        decide_there(by_hand, record, "rejected", comments="not this quarter")
    else:
        place = f"https://contoso.service-now.com/api/now/table/change_request/{of(by_hand, record)[0]['sys_id']}"
        by_hand.stack.vendors.patch(place, json={"state": "4"}, headers=by_hand._servicenow).raise_for_status()
    for _ in range(2):
        await look(by_hand, record)
    record = await now(record)
    assert record.state is _S.REJECTED
    (said,) = await requests.decisions(record.application, record.id)
    assert (said.decision, said.decided_in) == ("reject", "servicenow")
    assert ("not this quarter" if how == "rejected" else "cancelled at the instance") in (said.reason or "")


async def test_another_plan_is_another_change_and_the_old_approval_is_void(by_hand: World) -> None:
    record = await waiting(by_hand, BOARD)
    await look(by_hand, record)
    decide_there(by_hand, record, "approved")
    newer = "b" * 64
    assert record.plan is not None
    record = await change(record, plan=record.plan.model_copy(update={"digest": newer}), round=2)
    assert "requested" in await look(by_hand, record, newer)
    first, second = of(by_hand, record)
    assert (first["state"], second["correlation_display"]) == ("4", f"App Store plan {newer[:32]}")
    old = PlanDecision(run=run_of(record, "records"), digest=SHOWN)
    assert "another plan" in (await by_hand.value("read_change_approval", old))["detail"]
    assert (await now(record)).state is _S.AWAITING_APPROVAL
    decide_there(by_hand, record, "approved")
    await look(by_hand, record, newer)
    assert (await now(record)).approved_digest == newer


async def test_two_looks_and_a_rejection_at_the_same_instant_have_one_winner(by_hand: World) -> None:
    for _ in range(2):
        record = await waiting(by_hand, BOARD)
        await look(by_hand, record)
        decide_there(by_hand, record, "approved")
        payload = PlanDecision(run=run_of(record, "records"), digest=SHOWN)
        outcomes = await asyncio.gather(
            by_hand.run("read_change_approval", payload),
            by_hand.run("read_change_approval", payload),
            reject_request(ask(person("approver", "Approver"), {"reason": "no"}, id=record.id)),
            return_exceptions=True,
        )
        unexpected = [o for o in outcomes if isinstance(o, BaseException) and not isinstance(o, StateConflictError)]
        assert not unexpected
        record = await now(record)
        said = [item.decision for item in await requests.decisions(record.application, record.id)]
        assert (record.state, said) in [(_S.PROVISIONING, ["approve"]), (_S.REJECTED, ["reject"])]


async def test_what_is_decided_there_needs_an_instance_that_decides(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    restricted = ApplicationRequest.model_validate(
        body(
            "board-api",
            environments=["dev", "qa", "prod"],
            dataClassification="restricted",
            parameters={"publicEndpoint": False},
        )
    )
    needs = [need.rule for need in (await judge(restricted, REQUESTER)).needs]
    assert (bool(world), needs) == (True, ["platform", "change-board"])
    monkeypatch.setenv("SERVICENOW_CHANGE_TEMPLATE", "508e02ec47410200e90d87e8dee49001")
    with pytest.raises(ConfigurationError, match="change-board") as refused:
        await judge(restricted, REQUESTER)
    assert refused.value.variable == "SERVICENOW_CHANGE_TEMPLATE"
    with pytest.raises(ConfigurationError, match="change-board") as absent:
        approvers.require_decidable([BOARD], ["teams"])
    assert absent.value.variable == "SERVICENOW_INSTANCE"


async def test_decisions_reach_the_change_once_with_whom_they_were_made_for(world: World) -> None:
    record = await waiting(world)
    said = DecisionRecord.model_validate(
        {
            "requestId": record.id, "decision": "approve", "actor": "b", "actorName": "ben@contoso.com",
            "onBehalfOfName": "ann@contoso.com", "decidedAt": record.created_at, "reason": "fine",
        }
    )  # fmt: skip
    record = await change(record, approvals=[said], approved_digest=SHOWN, state=_S.PROVISIONING)
    await world.value("open_change", ActivityInput(run=run_of(record, "records")))
    payload = PlanDecision(run=run_of(record, "records"), digest=SHOWN)
    for wanted in ("noted", "noted already"):
        await world.forget("note_decisions", payload)
        assert (await world.value("note_decisions", payload))["detail"] == wanted
    place = f"/api/now/table/change_request/{of(world, record)[0]['sys_id']}"
    notes = world.servicenow(f"{place}?sysparm_fields=work_notes&sysparm_display_value=true")["work_notes"]
    assert f"- ben@contoso.com for ann@contoso.com at {record.created_at}: fine" in notes
