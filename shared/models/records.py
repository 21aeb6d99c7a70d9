"""Rows of the register as documents."""

from enum import StrEnum
from typing import Any

from shared.models import Model
from shared.models.application_request import ApplicationRequest
from shared.models.break_glass import BreakGlass
from shared.models.plan import MadeObject, PlanReference
from shared.models.problem import Problem


class RequestState(StrEnum):
    """Where a request is. ``TRANSITIONS`` says what may follow."""

    RECEIVED = "received"
    PLANNING = "planning"
    AWAITING_APPROVAL = "awaiting_approval"
    PROVISIONING = "provisioning"
    SUCCEEDED = "succeeded"
    DEGRADED = "degraded"
    PARKED = "parked"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNDOING = "undoing"
    UNDONE = "undone"


_S = RequestState
TRANSITIONS: dict[RequestState, frozenset[RequestState]] = {
    _S.RECEIVED: frozenset({_S.PLANNING, _S.CANCELLED, _S.PARKED}),
    _S.PLANNING: frozenset({_S.PLANNING, _S.AWAITING_APPROVAL, _S.CANCELLED, _S.PARKED}),
    _S.AWAITING_APPROVAL: frozenset(
        {_S.AWAITING_APPROVAL, _S.PROVISIONING, _S.PLANNING, _S.REJECTED, _S.EXPIRED, _S.CANCELLED, _S.PARKED}
    ),
    _S.PROVISIONING: frozenset(
        {_S.PROVISIONING, _S.PLANNING, _S.AWAITING_APPROVAL, _S.SUCCEEDED, _S.DEGRADED, _S.PARKED, _S.CANCELLED}
    ),
    _S.PARKED: frozenset({_S.PLANNING, _S.PROVISIONING, _S.UNDOING, _S.CANCELLED}),
    _S.SUCCEEDED: frozenset({_S.UNDOING}),
    _S.DEGRADED: frozenset({_S.PROVISIONING, _S.UNDOING}),
    _S.REJECTED: frozenset({_S.UNDOING}),
    _S.EXPIRED: frozenset({_S.UNDOING}),
    _S.CANCELLED: frozenset({_S.UNDOING}),
    _S.UNDOING: frozenset({_S.UNDONE, _S.PARKED}),
    _S.UNDONE: frozenset(),
}
RUNNING_STATES = frozenset({_S.RECEIVED, _S.PLANNING, _S.AWAITING_APPROVAL, _S.PROVISIONING, _S.UNDOING})


class Decision(StrEnum):
    """What a person decided about a plan or a run."""

    APPROVE = "approve"
    REJECT = "reject"
    BREAK_GLASS = "break_glass"
    CANCEL = "cancel"
    EXPIRE = "expire"
    RETRY = "retry"
    UNDO = "undo"


class DecisionRecord(Model):
    """An immutable fact: who decided what about which plan, when, and why.

    Attributes:
        roles, teams: those that count: the actor's own, or what was delegated by ``on_behalf_of``.
        decided_in: ``appstore`` or ``servicenow``; there the actor is the instance's user.
    """

    schema_version: int = 1
    request_id: str
    decision: Decision
    actor: str
    actor_name: str
    roles: list[str] = []
    teams: list[str] = []
    on_behalf_of: str | None = None
    on_behalf_of_name: str | None = None
    decided_in: str = "appstore"
    plan_digest: str | None = None
    reason: str | None = None
    decided_at: str


class RequestRecord(Model):
    """A request: what was asked, what was approved, where it is.

    Attributes:
        attempt: runs of the onboarding so far; names the orchestration instance.
        round: how often it has been planned.
        instance_id: the orchestration that works on it now.
        systems: optional systems that keep records of the application, as they were configured at the request.
        zones: landing zone of each environment, as it was when the request was planned.
        undo_begun: whether something was removed already; then it can only be undone to the end.
        asked_at: when the current plan was put up for approval; half of the time until ``decide_before`` is counted
            from it.
        escalated_at: when the current plan was escalated; None before.
        approvals: approvals of the current plan so far.
        approved_digest: digest of the plan that was approved; None before.
        break_glass: the grant that stands for approvals that are missing; None when the plan has them.
        residue: what a vendor keeps after undo.
    """

    schema_version: int = 1
    id: str
    application: str
    state: RequestState
    tenant: str
    requester: str
    requester_name: str
    body: ApplicationRequest
    body_hash: str
    flow_version: int = 1
    attempt: int = 1
    round: int = 1
    instance_id: str
    systems: list[str] = []
    zones: dict[str, dict[str, Any]] = {}
    undo_begun: bool = False
    created_at: str
    updated_at: str
    asked_at: str | None = None
    decide_before: str | None = None
    escalated_at: str | None = None
    plan: PlanReference | None = None
    approvals: list[DecisionRecord] = []
    approved_digest: str | None = None
    break_glass: BreakGlass | None = None
    problem: Problem | None = None
    residue: list[MadeObject] = []
    result: dict[str, Any] | None = None


class StepState(StrEnum):
    """Where a step of a run is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    RETRYING = "retrying"
    CANCELLED = "cancelled"


class StepRecord(Model):
    """One activity of a run as people see it; written by the activity decorator.

    Attributes:
        fingerprint: digest of the input; a done step is only reused for the same input.
        outcome: the result document of a done step, returned when the step is asked for again.
        made: objects that carry the request id because of this step.
        tried_at: start of the latest try; ``started_at`` is that of the first.
        run_attempt: attempt of the request that the latest try belongs to.
    """

    schema_version: int = 1
    request_id: str
    name: str
    branch: str
    environment: str | None = None
    state: StepState
    attempts: int = 1
    started_at: str
    finished_at: str | None = None
    link: str | None = None
    detail: str | None = None
    problem: Problem | None = None
    fingerprint: str = ""
    outcome: dict[str, Any] | None = None
    made: list[MadeObject] = []
    tried_at: str | None = None
    run_attempt: int = 0


class ClaimState(StrEnum):
    """How far the intake of a request has come."""

    CLAIMED = "claimed"
    STARTED = "started"


class ClaimRecord(Model):
    """The claim of an Idempotency-Key: the first writer wins, every repeat finds it here.

    Attributes:
        attempts: who is taking the request in at this moment; the claim goes with the last one that fails.
    """

    schema_version: int = 1
    request_id: str
    application: str
    body_hash: str
    attempts: tuple[str, ...] = ()
    caller: str
    owner_team: str = ""
    state: ClaimState
    claimed_at: str


class Renewal(Model):
    """A new end of an application, asked for or given.

    Attributes:
        expires_on: the new end, as YYYY-MM-DD.
        approved_by: who allowed what the team may not do by itself; None when it may.
    """

    expires_on: str
    reason: str
    asked_by: str
    asked_at: str
    approved_by: str | None = None


class ApplicationRecord(Model):
    """A name in use: reserved by a request, or an application that exists.

    Attributes:
        state: ``reserved``, ``active``, or ``expired`` when its end has passed.
        expires_on: last day of its life, as YYYY-MM-DD; None: no end, or the one of its request.
        renewals: the ends it was given since.
        renewal: one that waits for an approver.
        expired_at: when it was found to have ended.
    """

    schema_version: int = 1
    name: str
    archetype: str
    archetype_version: str
    owner_team: str
    request_id: str
    state: str
    environments: list[str]
    links: dict[str, str] = {}
    created_at: str
    expires_on: str | None = None
    renewals: list[Renewal] = []
    renewal: Renewal | None = None
    expired_at: str | None = None


class AuditRecord(Model):
    """One entry of an application's audit trail; ``hash`` covers the entry and the one before it."""

    schema_version: int = 1
    entry_id: str
    sequence: int
    at: str
    actor: str
    action: str
    request_id: str
    detail: str
    previous_hash: str
    hash: str


class AuditHead(Model):
    """The end of an application's audit trail: number and hash of its newest entry."""

    sequence: int
    hash: str
