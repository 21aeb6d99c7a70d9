import itertools
from collections.abc import Iterator

import pytest

from shared.authorisation import RULES, allowed_actions, expected_states, require, subject_of, why_not
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


ROLES = ("Requester", "Approver", "FinOps", "Operator", "Auditor", "Admin")
ACTIONS = (
    *("order", "see", "approve", "reject", "break_glass", "cancel", "retry", "undo", "promote", "resend"),
    *("renew", "approve-renewal", "delegate", "review", "audit"),
    *("operate", "control", "see-holds", "exempt", "grant-exemption", "campaign"),
    *("alert", "dead-letters", "control-commands", "replay-events"),
)
S = RequestState
STATES = {
    "approve": {S.AWAITING_APPROVAL},
    "reject": {S.AWAITING_APPROVAL},
    "break_glass": {S.AWAITING_APPROVAL},
    "cancel": {S.RECEIVED, S.PLANNING, S.AWAITING_APPROVAL, S.PROVISIONING, S.PARKED},
    "retry": {S.PARKED, S.DEGRADED},
    "undo": {S.PARKED, S.SUCCEEDED, S.DEGRADED, S.CANCELLED, S.REJECTED, S.EXPIRED},
}
SUBJECT = subject_of(record())


def oracle(action: str, roles: set[str], relation: str, *, service: bool) -> bool:
    """The rules once more, in other words, for one caller of a request of alice and the team payments."""
    owner, asked, holds = relation in ("requester", "team"), relation == "requester", roles.intersection
    match action:
        case "order":
            allowed = "Admin" in roles or ("Requester" in roles and owner)
        case "see":
            allowed = owner or bool(roles - {"Requester"})
        case "approve" | "reject":
            allowed = not service and not asked and bool(holds({"Approver", "FinOps", "Admin"}))
        case "approve-renewal" | "grant-exemption":
            allowed = not service and not asked and bool(holds({"Approver", "Admin"}))
        case "break_glass" | "control" | "control-commands" | "campaign" | "dead-letters" | "replay-events":
            people = action in ("break_glass", "control", "control-commands")
            allowed = not (service and people) and bool(holds({"Operator", "Admin"}))
        case "delegate":
            allowed = not service and bool(holds({"Approver", "FinOps", "Admin"}))
        case "review":
            allowed = not service and not asked and bool(holds({"Auditor", "Admin"}))
        case "audit" | "see-holds":
            allowed = bool(holds({"Auditor", "Admin"} | ({"Operator"} if action == "see-holds" else set())))
        case "renew":
            allowed = bool(holds({"Approver", "Operator", "Admin"})) or ("Requester" in roles and owner)
        case _:
            # Only Azure Monitor has the role for "alert".
            allowed = (
                action != "alert"
                and not (service and action == "exempt")
                and (bool(holds({"Operator", "Admin"})) or ("Requester" in roles and owner))
            )
    return allowed


def everybody() -> Iterator[tuple[Caller, set[str], str, bool]]:
    """Every caller: each set of roles, each relation to the request, a person or a service principal."""
    sets = itertools.chain.from_iterable(itertools.combinations(ROLES, size) for size in range(len(ROLES) + 1))
    for roles, relation, service in itertools.product(sets, ("requester", "team", "other"), (False, True)):
        name, teams = ("alice", ()) if relation == "requester" else ("bob", ("payments",) if relation == "team" else ())
        yield caller(name, *roles, teams=teams, service=service), set(roles), relation, service


@pytest.mark.parametrize("action", ACTIONS)
def test_every_caller_may_do_exactly_what_the_rules_say(action: str) -> None:
    wrong = [
        (roles, relation, service)
        for who, roles, relation, service in everybody()
        if (why_not(who, action, SUBJECT) is None) != oracle(action, roles, relation, service=service)
    ]
    assert not wrong


@pytest.mark.parametrize("state", RequestState)
def test_shown_is_what_is_allowed_in_this_state(state: RequestState) -> None:
    """The second way to ask, over every caller: the list of actions, and the demand with its 403."""
    row = record(state)
    for who, roles, relation, service in everybody():
        shown = set(allowed_actions(who, row))
        allowed = {action for action in STATES if oracle(action, roles, relation, service=service)}
        assert shown == {action for action in allowed if state in STATES[action]}
        for action in STATES.keys() - allowed:
            with pytest.raises(RequestRejectedError) as refused:
                require(who, action, SUBJECT)
            assert refused.value.status == 403


def test_the_table_has_no_action_that_is_not_tested() -> None:
    assert set(RULES) == set(ACTIONS)
    for action, states in STATES.items():
        assert set(expected_states(Decision(action))) == states


def test_nobody_can_do_with_a_request_what_they_cannot_see() -> None:
    for who, *_ in everybody():
        if why_not(who, "see", SUBJECT):
            assert not [action for action in STATES if why_not(who, action, SUBJECT) is None]


def test_a_request_whose_undo_began_can_only_be_undone() -> None:
    row = record(RequestState.PARKED).model_copy(update={"undo_begun": True})
    assert allowed_actions(caller("root", "Admin"), row) == [Decision.CANCEL, Decision.UNDO]


def test_every_decision_leads_along_a_declared_transition() -> None:
    leads_to = {
        Decision.REJECT: {RequestState.REJECTED},
        Decision.CANCEL: {RequestState.CANCELLED},
        Decision.RETRY: {RequestState.PLANNING, RequestState.PROVISIONING},
        Decision.UNDO: {RequestState.UNDOING},
        Decision.APPROVE: {RequestState.PROVISIONING},
        Decision.BREAK_GLASS: {RequestState.PROVISIONING},
    }
    for decision, targets in leads_to.items():
        for state in expected_states(decision):
            assert TRANSITIONS[state] & targets, f"{decision} in {state}"
