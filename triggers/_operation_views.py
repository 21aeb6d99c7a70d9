"""Day-2 operations as people and machines get to see them."""

from typing import Any

from shared.authorisation import allowed_operation_actions
from shared.identity import Caller
from shared.models.operations import ActionRecord, OperationRecord
from shared.models.records import DecisionRecord, StepRecord
from triggers._views import base, step_view


def place(record: OperationRecord) -> str:
    """Where an operation is shown."""
    return f"{base()}/applications/{record.application}/operations/{record.id}"


def operation_summary(record: OperationRecord, caller: Caller) -> dict[str, Any]:
    """An operation in a list."""
    return {
        "id": record.id,
        "application": record.application,
        "operation": record.operation,
        "environment": record.environment,
        "state": record.state,
        "occasion": record.occasion,
        "dryRun": record.dry_run,
        "requester": record.requester_name,
        "summary": record.summary,
        "counts": record.counts.document(),
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "allowedActions": allowed_operation_actions(caller, record),
        "links": {"self": place(record)},
    }


def action_view(record: ActionRecord) -> dict[str, Any]:
    """One planned action: what would be called, what the guard said, what became of it."""
    action = record.action
    return {
        "order": record.order,
        "wave": record.wave,
        "rule": action.rule,
        "kind": action.kind,
        "target": action.target,
        "environment": action.environment,
        "summary": action.summary,
        "destructive": action.destructive,
        "reversible": action.reversible,
        "calls": [call.document() for call in action.calls],
        "state": record.state,
        "verdict": record.verdict,
        "reason": record.reason,
        "detail": record.detail,
        "tries": record.tries,
        "result": record.result,
    }


def operation_view(
    record: OperationRecord, caller: Caller, steps: list[StepRecord], decisions: list[DecisionRecord]
) -> dict[str, Any]:
    """An operation with everything that is known of it but its actions: those are a list of their own."""
    links = {
        "self": place(record),
        "actions": f"{place(record)}/actions",
        "application": f"{base()}/applications/{record.application}",
    }
    return {
        **operation_summary(record, caller),
        "parameters": record.parameters,
        "reason": record.reason,
        "attempt": record.attempt,
        "digest": record.digest,
        "approvedDigest": record.approved_digest,
        "decideBefore": record.decide_before,
        "scanned": record.scanned,
        "waves": record.waves,
        "unreadable": record.unreadable,
        "facts": record.facts,
        "problem": record.problem.document() if record.problem else None,
        "decisions": [decision.document() for decision in decisions],
        "steps": [step_view(step) for step in steps],
        "links": links,
    }
