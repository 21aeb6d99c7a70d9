"""Delegation: somebody decides in the place of another, for a time."""

from datetime import datetime, timedelta
from typing import Self

from pydantic import model_validator

from shared.models import Model

LONGEST_DAYS = 30


class Delegation(Model):
    """What one person has handed to another. One without an end cannot be written down.

    Attributes:
        delegator: whose authority it is.
        delegate: who may use it, in addition to what the delegate may do anyway.
        roles, teams: the part of the delegator's authority that is handed over.
        until: from then on it is void.
        revoked_at: when it was taken back; None while it holds.
    """

    schema_version: int = 1
    id: str
    delegator: str
    delegator_name: str
    delegate: str
    delegate_name: str
    roles: list[str] = []
    teams: list[str] = []
    reason: str
    created_at: str
    until: str
    revoked_at: str | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        length = datetime.fromisoformat(self.until) - datetime.fromisoformat(self.created_at)
        if not timedelta() < length <= timedelta(days=LONGEST_DAYS):
            raise ValueError(f"a delegation ends in the future and within {LONGEST_DAYS} days")
        if self.delegate == self.delegator:
            raise ValueError("nobody delegates to themselves")
        if not self.roles:
            raise ValueError("a delegation hands over a role that decides")
        return self

    def holds(self, now: str) -> bool:
        """Whether it may be used at a moment, ISO time in UTC."""
        return self.revoked_at is None and datetime.fromisoformat(now) < datetime.fromisoformat(self.until)
