import itertools

import pytest

from shared.authorisation import allowed_actions, expected_states, may_see, require
from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.models.application_request import ApplicationRequest
from shared.models.records import TRANSITIONS, Decision, RequestRecord, RequestState

BODY = {
    "name": "payments-api",
    "archetype": "api",
    "description": "Card payments",
    "ownerTeam": "payments",
    "contact": "payments@example.com",
    "environments": ["dev"],
    "region": "westeurope",
    "costCenter": "CC-1001",
    "dataClassification": "internal",
    "criticality": "high",
    "monthlyBudget": 900,
}


def record(state: RequestState = RequestState.AWAITING_APPROVAL) -> RequestRecord:
    return RequestRecord(
        id="req-1",
        application="payments-api",
        state=state,
        tenant="t",
        requester="alice",
        requester_name="alice@contoso.com",
        body=ApplicationRequest.model_validate(BODY),
        body_hash="x",
        instance_id="req-1:onboard:1",
        created_at="2026-11-25T12:00:00.000Z",
        updated_at="2026-11-25T12:00:00.000Z",
    )


def caller(name: str, *roles: str, teams: tuple[str, ...] = (), service: bool = False) -> Caller:
    return Caller(name, "t", name, frozenset(roles), frozenset(teams), (), is_service=service)


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (caller("bob", "Approver"), True),
        (caller("bob", "FinOps"), True),
        (caller("bob", "Admin"), True),
        (caller("bob", "Operator"), False),
        (caller("bob", "Requester", teams=("payments",)), False),
        (caller("alice", "Approver"), False),
        (caller("alice", "Admin"), False),
        (caller("bot", "Approver", service=True), False),
        (caller("alice", "Requester", "Approver", service=True), False),
    ],
)
def test_nobody_decides_about_their_own_request_and_no_service_decides(who: Caller, allowed: bool) -> None:
    for decision in (Decision.APPROVE, Decision.REJECT):
        assert (decision in allowed_actions(who, record())) is allowed
        if not allowed:
            with pytest.raises(RequestRejectedError) as refused:
                require(who, decision, record())
            assert refused.value.status == 403


@pytest.mark.parametrize(("state", "decision"), list(itertools.product(RequestState, Decision)))
def test_an_action_is_shown_exactly_where_its_state_allows_it(state: RequestState, decision: Decision) -> None:
    admin = caller("root", "Admin")
    shown = decision in allowed_actions(admin, record(state))
    if decision is Decision.EXPIRE:
        assert not shown
        return
    assert shown is (state in expected_states(decision))


def test_every_decision_leads_along_a_declared_transition() -> None:
    leads_to = {
        Decision.REJECT: {RequestState.REJECTED},
        Decision.CANCEL: {RequestState.CANCELLED},
        Decision.RETRY: {RequestState.PLANNING, RequestState.PROVISIONING},
        Decision.UNDO: {RequestState.UNDOING},
        Decision.APPROVE: {RequestState.PROVISIONING},
    }
    for decision, targets in leads_to.items():
        for state in expected_states(decision):
            assert TRANSITIONS[state] & targets, f"{decision} in {state}"


def test_a_request_is_seen_by_its_team_and_by_those_who_look_after_all() -> None:
    assert may_see(caller("alice"), record())
    assert may_see(caller("carol", "Requester", teams=("payments",)), record())
    assert may_see(caller("eve", "Auditor"), record())
    assert not may_see(caller("mallory", "Requester", teams=("web",)), record())
