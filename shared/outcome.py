"""What an activity says happened. Exceptions lose their type on the way to an orchestrator; this does not."""

from enum import StrEnum
from typing import Any, Self

from shared.models import Model
from shared.models.problem import Problem


class OutcomeStatus(StrEnum):
    """How a step ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(Model):
    """Result of one activity or sub-orchestration.

    Attributes:
        status: done, failed or cancelled.
        value: the activity's result document when done.
        problem: what failed, what was kept, what to do.
    """

    status: OutcomeStatus
    value: dict[str, Any] | None = None
    problem: Problem | None = None

    @classmethod
    def done(cls, value: dict[str, Any] | None = None) -> Self:
        """The step did what it promises."""
        return cls(status=OutcomeStatus.DONE, value=value)

    @classmethod
    def failed(cls, problem: Problem) -> Self:
        """The step did not; trying again unchanged would not help."""
        return cls(status=OutcomeStatus.FAILED, problem=problem)

    @classmethod
    def cancelled(cls, detail: str) -> Self:
        """The step was not started because the request was cancelled or the kill switch is on."""
        return cls(status=OutcomeStatus.CANCELLED, problem=Problem(code="cancelled", title="Cancelled", detail=detail))

    @property
    def ok(self) -> bool:
        """Whether the step is done."""
        return self.status is OutcomeStatus.DONE
