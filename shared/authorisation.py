"""Who may do what: one table for showing an action, for doing it, and for the page that documents it."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.models.operations import OperationRecord, OperationState
from shared.models.promotions import PromotionRecord, PromotionState
from shared.models.records import ApplicationRecord, Decision, RequestRecord, RequestState

_S = RequestState
_P = PromotionState
_O = OperationState
_OWNERS = "the requester or the owner team"


@dataclass(frozen=True)
class Rule:
    """Who may do one thing.

    Attributes:
        what: the thing, for the documentation.
        roles: app roles that suffice, whomever it concerns.
        own: app roles that suffice to the requester and the owner team; empty: none is needed; None: owning is no help.
        people: whether a service principal is refused.
        not_requester: whether the requester is refused, whatever the roles say.
        states: states of a request in which it makes sense; empty: it does not depend on one.
    """

    what: str
    roles: frozenset[str] = frozenset()
    own: frozenset[str] | None = None
    people: bool = False
    not_requester: bool = False
    states: frozenset[RequestState] = frozenset()


_READERS = frozenset({"Approver", "FinOps", "Operator", "Auditor", "Admin"})
_DECIDERS = frozenset({"Approver", "FinOps", "Admin"})
_OPERATORS = frozenset({"Operator", "Admin"})
_AUDITORS = frozenset({"Auditor", "Admin"})
_REQUESTER = frozenset({"Requester"})
_WAITING = frozenset({_S.AWAITING_APPROVAL})
_STOPPABLE = frozenset({_S.RECEIVED, _S.PLANNING, _S.AWAITING_APPROVAL, _S.PROVISIONING, _S.PARKED})
_UNDOABLE = frozenset({_S.PARKED, _S.SUCCEEDED, _S.DEGRADED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED})

ANYONE = "anyone"
SIGNED_IN = "signed-in"
ORDER = "order"
SEE = "see"
AUDIT = "audit"
RESEND = "resend"
RENEW = "renew"
APPROVE_RENEWAL = "approve-renewal"
DELEGATE = "delegate"
REVIEW = "review"
PROMOTE = "promote"
OPERATE = "operate"
CAMPAIGN = "campaign"
CONTROL = "control"
SEE_HOLDS = "see-holds"
CONTROL_COMMANDS = "control-commands"
EXEMPT = "exempt"
GRANT_EXEMPTION = "grant-exemption"
ALERT = "alert"
DEAD_LETTERS = "dead-letters"
REPLAY_EVENTS = "replay-events"
RULES: dict[str, Rule] = {
    ORDER: Rule("request an application for a team", roles=frozenset({"Admin"}), own=_REQUESTER),
    SEE: Rule("see a request, its plan or an application", roles=_READERS, own=frozenset()),
    Decision.APPROVE: Rule("approve a plan", roles=_DECIDERS, people=True, not_requester=True, states=_WAITING),
    Decision.REJECT: Rule("reject a plan", roles=_DECIDERS, people=True, not_requester=True, states=_WAITING),
    Decision.BREAK_GLASS: Rule(
        "go on without the approvals that are missing", roles=_OPERATORS, people=True, states=_WAITING
    ),
    Decision.CANCEL: Rule("stop a request", roles=_OPERATORS, own=_REQUESTER, states=_STOPPABLE),
    Decision.RETRY: Rule(
        "go on from the failed step", roles=_OPERATORS, own=_REQUESTER, states=frozenset({_S.PARKED, _S.DEGRADED})
    ),
    Decision.UNDO: Rule("remove what a request made", roles=_OPERATORS, own=_REQUESTER, states=_UNDOABLE),
    PROMOTE: Rule("promote a release, or roll a stage back", roles=_OPERATORS, own=_REQUESTER),
    OPERATE: Rule("ask for a Day-2 operation", roles=_OPERATORS, own=_REQUESTER),
    CAMPAIGN: Rule("bring repositories to a new version of their archetype", roles=_OPERATORS),
    CONTROL: Rule("turn the kill switch, declare a freeze or a legal hold", roles=_OPERATORS, people=True),
    SEE_HOLDS: Rule("see legal holds", roles=_OPERATORS | _AUDITORS),
    EXEMPT: Rule("ask for an exemption from a Day-2 rule", roles=_OPERATORS, own=_REQUESTER, people=True),
    GRANT_EXEMPTION: Rule(
        "grant or end an exemption", roles=frozenset({"Approver", "Admin"}), people=True, not_requester=True
    ),
    CONTROL_COMMANDS: Rule("see, replay or discard commands that nobody could take", roles=_OPERATORS, people=True),
    RESEND: Rule("send a message again", roles=_OPERATORS, own=_REQUESTER),
    RENEW: Rule("renew an application", roles=frozenset({"Approver", "Operator", "Admin"}), own=_REQUESTER),
    APPROVE_RENEWAL: Rule(
        "approve a renewal beyond the limits", roles=frozenset({"Approver", "Admin"}), people=True, not_requester=True
    ),
    DELEGATE: Rule("let somebody decide in the own place", roles=_DECIDERS, people=True),
    REVIEW: Rule("review a broken glass", roles=_AUDITORS, people=True, not_requester=True),
    ALERT: Rule("deliver alerts of Azure Monitor", roles=frozenset({"ActionGroupsSecureWebhook"})),
    DEAD_LETTERS: Rule("see dead letters, replay and discard them", roles=_OPERATORS),
    REPLAY_EVENTS: Rule("have what happened to an application told again", roles=_OPERATORS),
    AUDIT: Rule("read and verify the audit trail", roles=_AUDITORS),
}


_NOT_THE_REQUESTER: dict[str, str] = {
    Decision.REJECT: "the requester cancels instead",
    APPROVE_RENEWAL: "the requester cannot approve",
    GRANT_EXEMPTION: "who asks for an exemption cannot grant it",
}


# What may be done with a promotion in which state; who may is the same as for a request.
PROMOTION_STATES: dict[str, frozenset[PromotionState]] = {
    Decision.APPROVE: frozenset({_P.AWAITING_APPROVAL}),
    Decision.REJECT: frozenset({_P.AWAITING_APPROVAL}),
    Decision.CANCEL: frozenset({_P.RECEIVED, _P.EVALUATING, _P.AWAITING_APPROVAL, _P.PARKED}),
    Decision.RETRY: frozenset({_P.PARKED, _P.DEGRADED}),
    PROMOTE: frozenset({_P.SUCCEEDED, _P.DEGRADED, _P.PARKED}),  # roll it back
}


# What may be done with a Day-2 operation in which state.
OPERATION_STATES: dict[str, frozenset[OperationState]] = {
    Decision.APPROVE: frozenset({_O.AWAITING_APPROVAL}),
    Decision.REJECT: frozenset({_O.AWAITING_APPROVAL}),
    Decision.CANCEL: frozenset({_O.RECEIVED, _O.SURVEYING, _O.AWAITING_APPROVAL, _O.ACTING, _O.PARKED}),
    Decision.RETRY: frozenset({_O.PARKED, _O.PARTIAL, _O.REFUSED}),
}


@dataclass(frozen=True)
class Subject:
    """What an action concerns: whose request, whose application."""

    requester: str
    owner_team: str


type Record = RequestRecord | ApplicationRecord | PromotionRecord | OperationRecord


def subject_of(record: Record) -> Subject:
    """The subject of a row."""
    if isinstance(record, PromotionRecord | OperationRecord):
        return Subject(record.requester, record.owner_team)
    if isinstance(record, RequestRecord):
        return Subject(record.requester, record.body.owner_team)
    return Subject("", record.owner_team)


def why_not(caller: Caller, action: str, subject: Subject | None = None) -> str | None:
    """Why the caller may not do this, or None when the caller may (state apart)."""
    rule = RULES[action]
    if rule.people and caller.is_service:
        return "a service principal cannot do what a person answers for"
    requested = subject is not None and caller.id == subject.requester
    if rule.not_requester and requested:
        return _NOT_THE_REQUESTER.get(action, f"the requester cannot {action}")
    if caller.roles & rule.roles:
        return None
    owns = subject is not None and (requested or subject.owner_team in caller.teams)
    if rule.own is not None and owns and (not rule.own or caller.roles & rule.own):
        return None
    return f"this needs {who(rule)}"


def who(rule: Rule) -> str:
    """Who may, in words."""
    roles = f"the role {_either(sorted(rule.roles))}"
    if rule.own is None:
        return roles
    owners = f"{_OWNERS} with the role {_either(sorted(rule.own))}" if rule.own else _OWNERS
    return f"{owners}, or {roles}"


def _either(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def may_see(caller: Caller, record: Record) -> bool:
    """Whether the caller may see it; what a caller may not see does not exist for the caller."""
    return why_not(caller, SEE, subject_of(record)) is None


def may_order(caller: Caller, archetype_roles: Iterable[str]) -> bool:
    """Whether the caller may order from an archetype, and therefore sees it."""
    return bool(caller.roles & set(archetype_roles))


def allowed_actions(caller: Caller, record: RequestRecord) -> list[Decision]:
    """What the caller may do with the request now."""
    return [
        decision
        for decision in Decision
        if decision in RULES
        and record.state in RULES[decision].states
        and why_not(caller, decision, subject_of(record)) is None
        and not (decision is Decision.RETRY and record.undo_begun)
    ]


def allowed_promotion_actions(caller: Caller, record: PromotionRecord) -> list[str]:
    """What the caller may do with the promotion now; ``rollback`` is the name of rolling it back."""
    return [
        "rollback" if action == PROMOTE else str(action)
        for action, states in PROMOTION_STATES.items()
        if record.state in states and why_not(caller, action, subject_of(record)) is None
    ]


def allowed_operation_actions(caller: Caller, record: OperationRecord) -> list[str]:
    """What the caller may do with the Day-2 operation now."""
    return [
        str(action)
        for action, states in OPERATION_STATES.items()
        if record.state in states and why_not(caller, action, subject_of(record)) is None
    ]


def expected_states(decision: Decision) -> list[RequestState]:
    """States in which a decision makes sense."""
    return sorted(RULES[decision].states)


def require(caller: Caller, action: str, subject: Subject | None = None) -> None:
    """Demand that the caller may do this.

    Raises:
        RequestRejectedError: 403 with the reason.
    """
    reason = why_not(caller, action, subject)
    if reason:
        raise RequestRejectedError("forbidden", f"{reason[0].upper()}{reason[1:]}.", status=403)
