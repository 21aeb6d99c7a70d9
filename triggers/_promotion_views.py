"""Promotions as people and machines get to see them."""

from typing import Any

from shared.approvals import ApprovalNeed
from shared.authorisation import allowed_promotion_actions
from shared.identity import Caller
from shared.models.policy_decision import PolicyDecision
from shared.models.promotions import PromotionRecord
from shared.models.records import DecisionRecord, StepRecord
from triggers._views import base, step_view


def place(record: PromotionRecord) -> str:
    """Where a promotion is shown."""
    return f"{base()}/applications/{record.application}/promotions/{record.id}"


def promotion_summary(record: PromotionRecord, caller: Caller) -> dict[str, Any]:
    """A promotion in a list."""
    return {
        "id": record.id,
        "application": record.application,
        "kind": record.kind,
        "state": record.state,
        "from": record.source,
        "to": record.target,
        "release": record.release.document() if record.release else None,
        "requester": record.requester_name,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "allowedActions": allowed_promotion_actions(caller, record),
        "links": {"self": place(record)},
    }


def promotion_view(
    record: PromotionRecord,
    caller: Caller,
    steps: list[StepRecord],
    decisions: list[DecisionRecord],
    *,
    judged: list[PolicyDecision],
    open_needs: list[ApprovalNeed],
) -> dict[str, Any]:
    """A promotion with everything that is known of it."""
    reference = record.document_reference
    links = {"self": place(record), "application": f"{base()}/applications/{record.application}"}
    if reference:
        links["document"] = f"{place(record)}/document"
    return {
        **promotion_summary(record, caller),
        "attempt": record.attempt,
        "reason": record.reason,
        "rollsBack": record.rolls_back,
        "documentDigest": reference.digest if reference else None,
        "previous": reference.previous if reference else None,
        "warnings": reference.warnings if reference else [],
        "approvals": reference.approvals if reference else [],
        "openApprovals": [need.rule for need in open_needs],
        "approvedDigest": record.approved_digest,
        "decideBefore": record.decide_before,
        "problem": record.problem.document() if record.problem else None,
        "decisions": [decision.document() for decision in decisions],
        "policyDecisions": [decision.document() for decision in judged],
        "steps": [step_view(step) for step in steps],
        "links": links,
    }
