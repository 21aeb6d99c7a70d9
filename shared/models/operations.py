"""A Day-2 operation: what was asked, what it would do, what it did."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from shared.models import Model
from shared.models.problem import Problem
from shared.models.records import DecisionRecord
from shared.models.runs import ActivityInput, Effect, Pace
from shared.origin import Origin


class Occasion(StrEnum):
    """What made an operation start."""

    REQUEST = "request"
    EVENT = "event"
    ALERT = "alert"
    TIMER = "timer"
    COMMAND = "command"

    @property
    def origin(self) -> Origin:
        """Whether a person waits; programs, events and clocks do not."""
        return Origin.PERSON if self is Occasion.REQUEST else Origin.SWEEP


class OperationState(StrEnum):
    """Where an operation is. ``TRANSITIONS`` says what may follow."""

    RECEIVED = "received"
    SURVEYING = "surveying"
    AWAITING_APPROVAL = "awaiting_approval"
    ACTING = "acting"
    SUCCEEDED = "succeeded"
    OBSERVED = "observed"
    PARTIAL = "partial"
    PARKED = "parked"
    REFUSED = "refused"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


_S = OperationState
_ENDS_OF_ACTING = frozenset({_S.SUCCEEDED, _S.PARTIAL, _S.REFUSED, _S.PARKED, _S.CANCELLED})
TRANSITIONS: dict[OperationState, frozenset[OperationState]] = {
    _S.RECEIVED: frozenset({_S.SURVEYING, _S.CANCELLED, _S.PARKED}),
    _S.SURVEYING: frozenset({_S.AWAITING_APPROVAL, _S.ACTING, _S.OBSERVED, *_ENDS_OF_ACTING}),
    _S.AWAITING_APPROVAL: frozenset({_S.ACTING, _S.REJECTED, _S.EXPIRED, _S.CANCELLED, _S.PARKED}),
    _S.ACTING: _ENDS_OF_ACTING,
    _S.PARKED: frozenset({_S.SURVEYING, _S.CANCELLED}),
    _S.PARTIAL: frozenset({_S.SURVEYING}),
    _S.SUCCEEDED: frozenset(),
    _S.OBSERVED: frozenset(),
    _S.REFUSED: frozenset({_S.SURVEYING}),
    _S.REJECTED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.CANCELLED: frozenset(),
}
RUNNING_STATES = frozenset({_S.RECEIVED, _S.SURVEYING, _S.AWAITING_APPROVAL, _S.ACTING})


class AskedOperation(Model):
    """What is asked of an application, whoever asks.

    Attributes:
        operation: for example ``rotate-secret``.
        parameters: as the operation's own model says.
        business_key: what makes two askings the same one; the operation's id is derived from it.
        dry_run: only find out what would be done.
        requester: object id of the person or service, or ``appstore``.
    """

    operation: str
    application: str
    environment: str | None = None
    parameters: dict[str, Any] = {}
    occasion: Occasion
    business_key: str = Field(min_length=1, max_length=2000)
    dry_run: bool = False
    requester: str
    requester_name: str
    reason: str | None = None


class PlannedCall(Model):
    """One call that an action makes, without secrets.

    Attributes:
        method: HTTP method, or the verb of another protocol.
        target: URL or name of what it is sent to.
        body: what is sent; values that are secret are left out.
    """

    method: str
    target: str
    body: dict[str, Any] | None = None


class PlannedAction(Model):
    """One change that an operation wants to make.

    Attributes:
        key: names it within the operation; a repeat finds it by this.
        rule: the rule of ``rules/guard.yaml`` that it is subject to.
        kind: kind of thing that changes, for example ``storage account``.
        target: ARM id or another natural key.
        environment: stage that the target belongs to; None for the application as a whole.
        owned_by: the application that the target says it belongs to; empty when it does not say: then it stays.
        summary: a sentence for people.
        calls: exactly what will be called.
        destructive: whether something is taken away.
        reversible: whether it can be undone.
        facts: what the action must remember until it acts, for example an ETag; no secrets.
    """

    key: str
    rule: str
    kind: str
    target: str
    environment: str | None = None
    owned_by: str
    summary: str
    calls: list[PlannedCall] = []
    destructive: bool = False
    reversible: bool = True
    facts: dict[str, Any] = {}


class ActionState(StrEnum):
    """What became of a planned action; ``exempt`` and ``gone`` (nothing was left to do) are no failures."""

    PLANNED = "planned"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    EXEMPT = "exempt"
    GONE = "gone"


class ActionRecord(Model):
    """The row of a planned action.

    Attributes:
        wave: the wave that it belongs to: the canary is 0.
        verdict: what the guard said last, and ``reason`` why.
        detail: what was done, or why not.
        tries: how often it was tried.
    """

    schema_version: int = 1
    operation_id: str
    order: int
    wave: int = 0
    action: PlannedAction
    state: ActionState = ActionState.PLANNED
    verdict: str = ""
    reason: str = ""
    detail: str = ""
    tries: int = 0
    result: dict[str, Any] = {}
    updated_at: str = ""


class Survey(Model):
    """What an operation found: what to do, among how many.

    Attributes:
        scanned: how many things were looked at.
        unreadable: things that could not be judged, named with the reason; the others are not kept from it.
        summary: a sentence for people.
        facts: what is shown to people of what was found, for example measured times.
    """

    actions: list[PlannedAction] = []
    scanned: int = 0
    unreadable: list[str] = []
    summary: str = ""
    facts: dict[str, Any] = {}


class Counts(Model):
    """How the actions of an operation stand."""

    planned: int = 0
    done: int = 0
    failed: int = 0
    refused: int = 0
    exempt: int = 0
    gone: int = 0


class OperationRecord(Model):
    """One run of a Day-2 operation on an application.

    Attributes:
        id: derived from application, operation and business key.
        attempt: runs so far; names the orchestration instance.
        digest: SHA-256 of the planned actions; an approval is bound to it.
        scanned, unreadable, facts: as the survey found.
        waves: how many there are.
    """

    schema_version: int = 1
    id: str
    operation: str
    application: str
    environment: str | None = None
    parameters: dict[str, Any] = {}
    occasion: Occasion
    business_key: str
    dry_run: bool = False
    state: OperationState
    requester: str
    requester_name: str
    owner_team: str
    reason: str | None = None
    body_hash: str
    flow_version: int = 1
    attempt: int = 1
    instance_id: str
    created_at: str
    updated_at: str
    digest: str | None = None
    scanned: int = 0
    waves: int = 0
    unreadable: list[str] = []
    summary: str = ""
    facts: dict[str, Any] = {}
    counts: Counts = Counts()
    decide_before: str | None = None
    approvals: list[DecisionRecord] = []
    approved_digest: str | None = None
    problem: Problem | None = None


FLOW_VERSION = 3  # of operations that are asked for from now on; what began before goes on as it began


class OperationInput(Model):
    """Input of every ``day2_`` orchestrator; ``request_id`` is the operation's id, as in every run."""

    request_id: str
    application: str
    attempt: int = 1
    origin: Origin = Origin.PERSON
    flow_version: int = 1
    pace: Pace = Pace()


class OperationSnapshot(Effect):
    """The operation as its orchestrator needs it after waking up."""

    state: OperationState
    environment: str | None = None
    parameters: dict[str, Any] = {}
    dry_run: bool = False
    waves: int = 0
    decide_before: str | None = None
    facts: dict[str, Any] = {}


class Wave(ActivityInput):
    """Do the actions of one wave; ``look`` counts how often, because what is under way is looked at again."""

    wave: int
    look: int = 0


class WaveResult(Effect):
    """How a wave went.

    Attributes:
        stop: why the next one must not begin.
        busy: what is still under way; the wave is looked at again later.
    """

    counts: Counts = Counts()
    stop: str | None = None
    busy: str | None = None


class EndOperation(ActivityInput):
    """How the operation ended; without a state it is told from its actions."""

    state: OperationState | None = None
    problem: Problem | None = None
    facts: dict[str, Any] = {}
