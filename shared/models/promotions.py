"""A promotion: one release of an application, brought from one stage to the next, or a stage brought back."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Self

from pydantic import ConfigDict, Field

from shared.models import Model
from shared.models.application_request import EnvironmentName, PlainText
from shared.models.problem import Problem
from shared.models.records import DecisionRecord
from shared.models.runs import ActivityInput, Effect, Pace

_DIGEST = r"^sha256:[0-9a-f]{64}$"


class PromotionState(StrEnum):
    """Where a promotion is. ``TRANSITIONS`` says what may follow."""

    RECEIVED = "received"
    EVALUATING = "evaluating"
    AWAITING_APPROVAL = "awaiting_approval"
    DEPLOYING = "deploying"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    DEGRADED = "degraded"
    REFUSED = "refused"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    PARKED = "parked"
    ROLLED_BACK = "rolled_back"


_S = PromotionState
TRANSITIONS: dict[PromotionState, frozenset[PromotionState]] = {
    _S.RECEIVED: frozenset({_S.EVALUATING, _S.CANCELLED, _S.PARKED}),
    _S.EVALUATING: frozenset({_S.AWAITING_APPROVAL, _S.DEPLOYING, _S.REFUSED, _S.CANCELLED, _S.PARKED}),
    _S.AWAITING_APPROVAL: frozenset({_S.DEPLOYING, _S.REJECTED, _S.EXPIRED, _S.CANCELLED, _S.PARKED}),
    _S.DEPLOYING: frozenset({_S.VERIFYING, _S.REFUSED, _S.PARKED}),
    _S.VERIFYING: frozenset({_S.SUCCEEDED, _S.DEGRADED, _S.PARKED}),
    _S.SUCCEEDED: frozenset({_S.ROLLED_BACK}),
    _S.DEGRADED: frozenset({_S.EVALUATING, _S.DEPLOYING, _S.VERIFYING, _S.ROLLED_BACK}),
    _S.PARKED: frozenset({_S.EVALUATING, _S.DEPLOYING, _S.ROLLED_BACK, _S.CANCELLED}),
    _S.REFUSED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.ROLLED_BACK: frozenset(),
}
RUNNING_STATES = frozenset({_S.RECEIVED, _S.EVALUATING, _S.AWAITING_APPROVAL, _S.DEPLOYING, _S.VERIFYING})


class PromotionKind(StrEnum):
    """Forward, or back to what ran in the stage before."""

    PROMOTE = "promote"
    ROLL_BACK = "roll_back"


class PromotionRequest(Model):
    """Body of ``POST /api/applications/{name}/promotions``."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    source: EnvironmentName = Field(alias="from", description="Stage that the release runs in.")
    target: EnvironmentName = Field(alias="to", description="The very next stage.")
    digest: str | None = Field(
        default=None, pattern=_DIGEST, description="Digest of the image; without it, what runs in `from`."
    )
    reason: PlainText | None = Field(default=None, max_length=500, description="Why, for the record.")


class RollbackRequest(Model):
    """Body of ``POST /api/applications/{name}/promotions/{id}/rollback``."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    reason: PlainText = Field(min_length=1, max_length=500, description="Why, for the record.")


class Release(Model):
    """What is promoted.

    Attributes:
        repository: ``owner/name``.
        commit: the commit that the image was built from, as its provenance says.
        digest: digest of the image.
        built_at: when it was signed, ISO 8601; empty when nobody knows.
    """

    repository: str
    commit: str
    digest: str
    built_at: str = ""


class PromotionDocument(Model):
    """The document that is approved, as kept in the row; the very bytes are a blob.

    Attributes:
        digest: SHA-256 of the document.
        blob: name of the blob.
        rules_revision: the rules that allowed it.
        approvals: approvals that are needed.
        warnings: what the rules remark.
        previous: digest of what ran in the target before; empty when nothing did.
    """

    digest: str
    blob: str
    rules_revision: str
    approvals: list[dict[str, Any]] = []
    warnings: list[str] = []
    previous: str = ""


class PromotionRecord(Model):
    """A promotion: what was asked, what was found, what was approved, where it is.

    Attributes:
        id: derived from tenant, caller, application and Idempotency-Key.
        asked_digest: the digest that the caller named; None: what runs in ``source``.
        rolls_back: for a roll back: the promotion whose effect it takes back.
        attempt: runs so far; names the orchestration instance.
        request_id: the request that made the application.
        record_systems: systems that keep records of it, as configured when it was asked for.
        failures: rules that refused it.
    """

    schema_version: int = 1
    id: str
    application: str
    kind: PromotionKind = PromotionKind.PROMOTE
    state: PromotionState
    source: str
    target: str
    asked_digest: str | None = None
    rolls_back: str | None = None
    reason: str | None = None
    body_hash: str
    tenant: str
    requester: str
    requester_name: str
    owner_team: str
    request_id: str
    record_systems: list[str] = []
    flow_version: int = 1
    attempt: int = 1
    instance_id: str
    created_at: str
    updated_at: str
    decide_before: str | None = None
    release: Release | None = None
    document_reference: PromotionDocument | None = None
    approvals: list[DecisionRecord] = []
    approved_digest: str | None = None
    problem: Problem | None = None


class PromoteInput(Model):
    """Input of the orchestrator ``promote``; ``request_id`` is the promotion's, as in every run."""

    request_id: str
    application: str
    attempt: int = 1
    flow_version: int = 1
    pace: Pace = Pace()


class PromotionSnapshot(Effect):
    """The promotion as its orchestrator needs it after waking up."""

    state: str
    source: str = ""
    target: str = ""
    release: Release | None = None
    digest: str | None = None
    decide_before: str | None = None
    record_systems: list[str] = []
    done: list[str] = []

    @classmethod
    def of(cls, record: PromotionRecord, done: Sequence[str] = ()) -> Self:
        """The snapshot of a row, with the names of the steps that are done."""
        return cls(
            state=record.state,
            source=record.source,
            target=record.target,
            release=record.release,
            digest=record.document_reference.digest if record.document_reference else None,
            decide_before=record.decide_before,
            record_systems=record.record_systems,
            done=list(done),
        )


class EvaluatePromotion(ActivityInput):
    """Have the gates judged; ``at`` is when, the same at every repeat."""

    at: str


class StartPromotion(ActivityInput):
    """Start the repository's pipeline for a release that was allowed."""

    release: Release
    operation: str


class VerifyRelease(ActivityInput):
    """Ask the stage whether this release answers."""

    release: Release


class SetPromotionState(ActivityInput):
    """Where the promotion is now; ``problem`` says why it ended there."""

    state: PromotionState
    problem: Problem | None = None
