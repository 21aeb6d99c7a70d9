"""Decisions about what has a row: who decided what, and the answer to whoever was too late."""

from collections.abc import Awaitable

from shared.clock import utc_now
from shared.errors import StateConflictError
from shared.models.records import Decision, DecisionRecord
from shared.register.audit import Entry
from triggers._http import Call


def decision_of(call: Call, kind: Decision, subject: str, *, digest: str | None, reason: str | None) -> DecisionRecord:
    """What the caller decides about a promotion or an operation (its id), and with whose authority."""
    caller = call.caller
    return DecisionRecord(
        request_id=subject,
        decision=kind,
        actor=caller.id,
        actor_name=caller.name,
        roles=sorted(caller.roles),
        teams=sorted(caller.teams),
        plan_digest=digest,
        reason=reason,
        decided_at=utc_now(),
    )


def entry_of(decision: DecisionRecord, key: str) -> Entry:
    """The audit entry of a decision; ``key`` says what makes two of them the same."""
    kind, subject = decision.decision, decision.request_id
    return Entry(
        f"{subject}:{kind}:{key}", decision.decided_at, decision.actor, kind, subject, decision.reason or str(kind)
    )


async def in_time[R](kind: Decision, what: str, transition: Awaitable[R]) -> R:
    """Carry the transition out.

    Raises:
        StateConflictError: somebody else was faster; the sentence says where it is now.
    """
    try:
        return await transition
    except StateConflictError as error:
        words = error.state.replace("_", " ")
        raise StateConflictError(error.state, f"Too late to {kind}: the {what} is {words}.") from error
