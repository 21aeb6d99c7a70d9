"""Promoting a release from stage to stage, deciding about it, and rolling it back."""

import re
from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, Field

from shared import approvals, authorisation
from shared.authorisation import PROMOTE, PROMOTION_STATES, SEE, subject_of
from shared.clients import blobs
from shared.clock import utc_now
from shared.errors import RequestRejectedError, StateConflictError
from shared.instance_ids import promote_instance
from shared.models import Model
from shared.models.application_request import PlainText
from shared.models.policy_decision import PolicyDecision
from shared.models.promotions import PromotionRecord, PromotionRequest, PromotionState, RollbackRequest
from shared.models.records import Decision, DecisionRecord
from shared.register import policy_decisions, promotions, requests, steps
from triggers import _promotion_intake as intake
from triggers._deciding import decision_of, entry_of, in_time
from triggers._http import Answer, Call, endpoint
from triggers._promotion_views import place, promotion_summary, promotion_view
from triggers.http_catalogue import visible_application

_S = PromotionState
_MAIN = "applications/{name}/promotions"
_ONE = f"{_MAIN}/{{id}}"


class AcceptedPromotion(Model):
    """A promotion that is on its way."""

    id: str = Field(description="Id of the promotion.")
    state: str = Field(description="State of the promotion.")
    links: dict[str, str] = Field(description="`self`: where to look.")


class PromotionList(Model):
    """Promotions of an application, newest first."""

    promotions: list[dict[str, Any]]


class PromotionView(Model):
    """A promotion with its release, its gates, its decisions and its steps."""

    id: str
    application: str
    kind: str
    state: str
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    release: dict[str, Any] | None
    document_digest: str | None
    steps: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    policy_decisions: list[PolicyDecision]
    problem: dict[str, Any] | None
    links: dict[str, str]


class _Body(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})


class PromotionApproval(_Body):
    """Body of ``approve``."""

    document_digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the document that was shown.")
    reason: PlainText | None = Field(default=None, max_length=500, description="Why, for the audit.")


class PromotionReason(_Body):
    """Body of the other decisions."""

    reason: PlainText | None = Field(default=None, max_length=500, description="Why, for the audit.")


@endpoint(
    "POST",
    _MAIN,
    action=PROMOTE,
    summary="Promote a release to the next stage.",
    body=PromotionRequest,
    answers={202: AcceptedPromotion},
    headers=("Idempotency-Key",),
)
async def create_promotion(call: Call) -> Answer:
    """Take a promotion in: the same key and body always give the same answer."""
    application = await visible_application(call)
    authorisation.require(call.caller, PROMOTE, subject_of(application))
    key, body = call.idempotency_key(), call.body(PromotionRequest)
    found = await intake.already_asked(application, call.caller, key, body)
    if found is None:
        intake.require_possible(application, body)
        intake.require_no_freeze(application, body.target)
        systems = intake.require_records(body.target)
        record = intake.promotion_of(application, call.caller, key, body, systems)
        found = await intake.take_in(call.client, record, body)
    return _accepted(found)


@endpoint(
    "POST",
    f"{_ONE}/rollback",
    action=PROMOTE,
    summary="Bring the stage back to the release before.",
    body=RollbackRequest,
    answers={202: AcceptedPromotion},
    headers=("Idempotency-Key",),
)
async def roll_back_promotion(call: Call) -> Answer:
    """Ask for a promotion of what ran in the stage before; a freeze does not stop it."""
    key = call.idempotency_key()
    application, original = await visible_application(call), await _visible(call)
    authorisation.require(call.caller, PROMOTE, subject_of(application))
    body = call.body(RollbackRequest)
    found = await intake.already_asked(application, call.caller, f"{original.id}\x00{key}", body)
    if found is None:
        if original.state not in PROMOTION_STATES[PROMOTE]:
            words = original.state.replace("_", " ")
            raise StateConflictError(original.state, f"The promotion is {words}: there is nothing to roll back.")
        systems = intake.require_records(original.target)
        record = intake.rollback_of(application, call.caller, key, original, wanted=body, systems=systems)
        found = await intake.take_in(call.client, record, body)
    return _accepted(found)


@endpoint("GET", _MAIN, action=SEE, summary="Promotions of an application.", answers={200: PromotionList})
async def list_promotions(call: Call) -> Answer:
    """List promotions, newest first."""
    application = await visible_application(call)
    found = await promotions.of_application(application.name)
    return Answer(200, {"promotions": [promotion_summary(record, call.caller) for record in found]})


@endpoint("GET", _ONE, action=SEE, summary="A promotion with its gates and steps.", answers={200: PromotionView})
async def get_promotion(call: Call) -> Answer:
    """Show a promotion."""
    record = await _visible(call)
    done = await steps.of_request(record.application, record.id)
    decisions = await requests.decisions(record.application, record.id)
    judged = await policy_decisions.of_request(record.application, record.id)
    open_needs = _open_needs(record, record.approvals)
    return Answer(200, promotion_view(record, call.caller, done, decisions, judged=judged, open_needs=open_needs))


@endpoint(
    "GET",
    f"{_ONE}/document",
    action=SEE,
    summary="The very bytes that an approval of the promotion covers.",
    answers={200: "What is deployed where, on which evidence, by which rules."},
)
async def get_promotion_document(call: Call) -> Answer:
    """Show the document as it is approved: its SHA-256 is the digest."""
    record = await _visible(call)
    if record.document_reference is None:
        detail = f"The promotion is {record.state}: there is no document."
        raise RequestRejectedError("no-plan", detail, status=404)
    content = await blobs.read_document(record.document_reference.blob)
    return Answer(200, text=content, headers={"ETag": f'"{record.document_reference.digest}"'})


@endpoint(
    "POST",
    f"{_ONE}/approve",
    action=Decision.APPROVE,
    summary="Approve exactly this promotion.",
    body=PromotionApproval,
    answers={202: AcceptedPromotion},
)
async def approve_promotion(call: Call) -> Answer:
    """Approve the document with the given digest; the last approval that is needed starts the deployment."""
    record = await _visible(call)
    authorisation.require(call.caller, Decision.APPROVE, subject_of(record))
    body = call.body(PromotionApproval)
    _require_shown(record, body.document_digest)
    decision = _decision(call, Decision.APPROVE, record, body.reason)

    def change(old: PromotionRecord) -> PromotionRecord:
        _require_shown(old, body.document_digest)
        if old.decide_before and utc_now() >= old.decide_before:
            raise StateConflictError(old.state, f"The time to decide was over at {old.decide_before}.")
        given = [item for item in old.approvals if item.actor != decision.actor] + [decision]
        if _open_needs(old, given):
            return old.model_copy(update={"approvals": given})
        update = {"approvals": given, "state": _S.DEPLOYING, "approved_digest": body.document_digest}
        return old.model_copy(update=update)

    return await _decide(call, record, decision, change, key=f"{body.document_digest[:12]}:{call.caller.id}")


@endpoint(
    "POST",
    f"{_ONE}/reject",
    action=Decision.REJECT,
    summary="Reject the promotion.",
    body=PromotionReason,
    answers={202: AcceptedPromotion},
)
async def reject_promotion(call: Call) -> Answer:
    """Reject: nothing is deployed."""
    return await _simple(call, Decision.REJECT, lambda old: old.model_copy(update={"state": _S.REJECTED}))


@endpoint(
    "POST",
    f"{_ONE}/cancel",
    action=Decision.CANCEL,
    summary="Stop the promotion.",
    body=PromotionReason,
    answers={202: AcceptedPromotion},
)
async def cancel_promotion(call: Call) -> Answer:
    """Stop before anything is deployed; what is deployed is rolled back instead."""

    def change(old: PromotionRecord) -> PromotionRecord:
        update: dict[str, object] = {"state": _S.CANCELLED}
        if old.state is _S.PARKED:  # no orchestration is left that could withdraw its change request: a new one does
            update |= {"attempt": old.attempt + 1, "instance_id": promote_instance(old.id, old.attempt + 1)}
        return old.model_copy(update=update)

    return await _simple(call, Decision.CANCEL, change)


@endpoint(
    "POST",
    f"{_ONE}/retry",
    action=Decision.RETRY,
    summary="Go on from the failed step.",
    body=PromotionReason,
    answers={202: AcceptedPromotion},
)
async def retry_promotion(call: Call) -> Answer:
    """Start a new attempt: what is done stays done; the gates are judged again before anything is deployed."""

    def change(old: PromotionRecord) -> PromotionRecord:
        attempt = old.attempt + 1
        allowed = old.document_reference is not None and old.approved_digest == old.document_reference.digest
        state = _S.DEPLOYING if allowed else _S.EVALUATING
        update = {"attempt": attempt, "instance_id": promote_instance(old.id, attempt), "problem": None, "state": state}
        return old.model_copy(update=update)

    return await _simple(call, Decision.RETRY, change)


async def _visible(call: Call) -> PromotionRecord:
    """The promotion of the path, if the caller may see it; otherwise it does not exist for the caller."""
    identifier, name = call.params.get("id", ""), call.params.get("name", "")
    known = re.fullmatch(r"pro-[0-9a-f]{12}", identifier) and re.fullmatch(r"[a-z0-9-]{3,32}", name)
    record = await promotions.find(name, identifier) if known else None
    if record is None or not authorisation.may_see(call.caller, record):
        raise RequestRejectedError("unknown-promotion", f"There is no promotion {identifier} of {name}.", status=404)
    return record


def _accepted(record: PromotionRecord) -> Answer:
    document = AcceptedPromotion(id=record.id, state=record.state, links={"self": place(record)})
    return Answer(202, document.document(), {"Location": place(record)})


def _open_needs(record: PromotionRecord, given: list[DecisionRecord]) -> list[approvals.ApprovalNeed]:
    """Approvals that the promotion still needs."""
    reference = record.document_reference
    needs = [approvals.ApprovalNeed.model_validate(need) for need in (reference.approvals if reference else [])]
    decisions = [
        approvals.Decision(principal=item.actor, verdict="approve", roles=tuple(item.roles), teams=tuple(item.teams))
        for item in given
    ]
    return approvals.satisfied(needs, decisions)


def _require_shown(record: PromotionRecord, shown: str) -> None:
    reference = record.document_reference
    if reference is None or reference.digest != shown:
        current = reference.digest[:12] if reference else "none yet"
        detail = f"This is not the document you were shown: it is {current} now."
        raise RequestRejectedError("plan-changed", detail, status=409, pointer="/documentDigest")


async def _simple(call: Call, kind: Decision, change: Callable[[PromotionRecord], PromotionRecord]) -> Answer:
    record = await _visible(call)
    authorisation.require(call.caller, kind, subject_of(record))
    body = call.body(PromotionReason) if call.raw else PromotionReason()
    return await _decide(call, record, _decision(call, kind, record, body.reason), change, key=str(record.attempt))


async def _decide(
    call: Call,
    record: PromotionRecord,
    decision: DecisionRecord,
    change: Callable[[PromotionRecord], PromotionRecord],
    *,
    key: str,
) -> Answer:
    """Write decision, state and audit entry together, then wake or start the orchestration."""
    kind = decision.decision
    transition = promotions.transition(
        record.application,
        record.id,
        change,
        entry_of(decision, key),
        expect=sorted(PROMOTION_STATES[kind]),
        extra=lambda _new, _rows: [requests.decision_write(decision)],
    )
    new = await in_time(kind, "promotion", transition)
    if new.attempt != record.attempt:
        await intake.start_recorded(call.client, new)
    else:
        await intake.wake(call.client, new)
    return _accepted(new)


def _decision(call: Call, kind: Decision, record: PromotionRecord, reason: str | None) -> DecisionRecord:
    digest = record.document_reference.digest if record.document_reference else None
    return decision_of(call, kind, record.id, digest=digest, reason=reason)
