"""Who may do what with a request: one function for showing an action and for doing it."""

from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.models.records import Decision, RequestRecord, RequestState

_S = RequestState
_READERS = frozenset({"Approver", "FinOps", "Operator", "Auditor", "Admin"})
_DECIDERS = frozenset({"Approver", "FinOps", "Admin"})
_OPERATORS = frozenset({"Operator", "Admin"})
_STATES: dict[Decision, frozenset[RequestState]] = {
    Decision.APPROVE: frozenset({_S.AWAITING_APPROVAL}),
    Decision.REJECT: frozenset({_S.AWAITING_APPROVAL}),
    Decision.CANCEL: frozenset({_S.RECEIVED, _S.PLANNING, _S.AWAITING_APPROVAL, _S.PROVISIONING, _S.PARKED}),
    Decision.RETRY: frozenset({_S.PARKED, _S.DEGRADED}),
    Decision.UNDO: frozenset({_S.PARKED, _S.SUCCEEDED, _S.DEGRADED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED}),
}


def may_see(caller: Caller, record: RequestRecord) -> bool:
    """Whether the caller may see a request: requester, owner team, or a role that looks after all."""
    return caller.id == record.requester or record.body.owner_team in caller.teams or bool(caller.roles & _READERS)


def why_not(caller: Caller, decision: Decision, record: RequestRecord) -> str | None:
    """Why the caller may not decide this, or None when the caller may (state apart)."""
    if decision in (Decision.APPROVE, Decision.REJECT):
        if caller.is_service:
            return "a service principal cannot decide about a plan"
        if caller.id == record.requester:
            return "the requester cannot approve" if decision is Decision.APPROVE else "the requester cancels instead"
        if not caller.roles & _DECIDERS:
            return "this needs the role Approver, FinOps or Admin"
        return None
    owns = "Requester" in caller.roles and (caller.id == record.requester or record.body.owner_team in caller.teams)
    if owns or caller.roles & _OPERATORS:
        return None
    return "this needs the requester, the owner team, an Operator or an Admin"


def allowed_actions(caller: Caller, record: RequestRecord) -> list[Decision]:
    """What the caller may do with the request now."""
    return [
        decision
        for decision, states in _STATES.items()
        if record.state in states
        and why_not(caller, decision, record) is None
        and not (decision is Decision.RETRY and record.undo_begun)
    ]


def expected_states(decision: Decision) -> list[RequestState]:
    """States in which a decision makes sense."""
    return sorted(_STATES[decision])


def require(caller: Caller, decision: Decision, record: RequestRecord) -> None:
    """Demand that the caller may decide this.

    Raises:
        RequestRejectedError: 403 with the reason.
    """
    reason = why_not(caller, decision, record)
    if reason:
        raise RequestRejectedError("forbidden", f"{reason[0].upper()}{reason[1:]}.", status=403)
