"""Breaking the glass: going on without the approvals that are missing, for a few hours, and reviewed afterwards."""

from datetime import datetime, timedelta
from typing import Self

from pydantic import model_validator

from shared.models import Model

LONGEST_HOURS = 8


class BreakGlass(Model):
    """A grant in the place of missing approvals. One without an end, or with a far one, cannot be written down.

    Attributes:
        plan_digest: the one plan that it is for.
        ticket: the incident or change that explains the hurry.
        second_person: who is told, neither the actor nor the requester.
        expires_at: from then on the plan needs its approvals again.
    """

    plan_digest: str
    actor: str
    actor_name: str
    reason: str
    ticket: str
    second_person: str
    granted_at: str
    expires_at: str

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        length = datetime.fromisoformat(self.expires_at) - datetime.fromisoformat(self.granted_at)
        if not timedelta() < length <= timedelta(hours=LONGEST_HOURS):
            raise ValueError(f"a grant holds for more than nothing and at most {LONGEST_HOURS} hours")
        if not (self.reason.strip() and self.ticket.strip() and self.second_person.strip()):
            raise ValueError("a grant has a reason, a ticket and a second person")
        return self


class Review(Model):
    """The look back at a broken glass: open until somebody else has judged it.

    Attributes:
        state: ``open`` or ``closed``.
        justified: what the reviewer found; None while it is open.
    """

    schema_version: int = 1
    request_id: str
    application: str
    requester: str
    number: int
    state: str = "open"
    grant: BreakGlass
    reviewer: str | None = None
    reviewer_name: str | None = None
    justified: bool | None = None
    findings: str | None = None
    closed_at: str | None = None
