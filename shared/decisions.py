"""What a request's recorded decisions amount to: which approvals its plan still lacks."""

from collections.abc import Sequence
from datetime import datetime

from shared import approvals
from shared.approvals import ApprovalNeed
from shared.models.records import DecisionRecord, RequestRecord

SERVICENOW = "servicenow"


def needs_of(record: RequestRecord) -> list[ApprovalNeed]:
    """Approvals that the current plan needs, given or not."""
    return [ApprovalNeed.model_validate(need) for need in (record.plan.approvals if record.plan else [])]


def needs_servicenow(record: RequestRecord) -> bool:
    """Whether a part of the decision about the plan is made in ServiceNow."""
    return any(need.decided_in == SERVICENOW for need in needs_of(record))


def open_needs(
    record: RequestRecord, given: Sequence[DecisionRecord] | None = None, *, escalated: bool | None = None
) -> list[ApprovalNeed]:
    """Approvals that the plan still needs.

    Args:
        record: the request.
        given: approvals to count; None: those of the record.
        escalated: whether the needs are escalated; None: as the record says.
    """
    every = record.approvals if given is None else given
    counted = [_counted(item, record, every) for item in every]
    wider = record.escalated_at is not None if escalated is None else escalated
    return approvals.satisfied(needs_of(record), counted, escalated=wider)


def _counted(item: DecisionRecord, record: RequestRecord, given: Sequence[DecisionRecord]) -> approvals.Decision:
    return approvals.Decision(
        principal=_person(item, record, given),
        verdict="approve",
        roles=tuple(item.roles),
        teams=tuple(item.teams),
        on_behalf_of=item.on_behalf_of,
        decided_in="servicenow" if item.decided_in == SERVICENOW else "appstore",
    )


def _person(item: DecisionRecord, record: RequestRecord, given: Sequence[DecisionRecord]) -> str:
    """A user of ServiceNow is the person of ours with the same sign-in name, so that nobody counts twice."""
    if item.decided_in != SERVICENOW:
        return item.actor
    ours = {other.actor_name.lower(): other.actor for other in given if other.decided_in != SERVICENOW}
    ours[record.requester_name.lower()] = record.requester
    names = (item.actor_name.lower(), item.actor.removeprefix(f"{SERVICENOW}:").lower())
    return next((ours[name] for name in names if name in ours), item.actor)


def share(asked_at: str, decide_before: str, part: float) -> datetime:
    """The moment at which a part of the time for deciding is over."""
    asked, end = datetime.fromisoformat(asked_at), datetime.fromisoformat(decide_before)
    return asked + (end - asked) * part
