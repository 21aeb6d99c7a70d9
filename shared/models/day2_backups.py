"""Parameters and results of backup, restore and restore drill."""

from pydantic import ConfigDict, Field

from shared.models import Model
from shared.models.moment import Moment
from shared.models.runs import ActivityInput, Effect

REMOVAL = "removal"  # branch of a run that does nothing but remove what a drill left


class Restore(Model):
    """When to restore to; without it, the newest moment."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    point_in_time: Moment | None = Field(
        default=None, description="Moment to restore to, with a time zone; empty: the newest that can be restored."
    )


class Check(Model):
    """One check of what was restored."""

    name: str
    passed: bool
    detail: str = ""


class Checked(Effect):
    """What the checks of what was restored found."""

    checks: list[Check] = []

    @property
    def passed(self) -> bool:
        """Whether there were checks, and all of them passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)


class DrillEnd(ActivityInput):
    """What a drill measured.

    Attributes:
        begun_at, ended_at: of the restore, ISO 8601.
        checks: empty when it ended before them.
        rto_seconds: from the beginning until the restored copy could be used; None when it never could.
        rpo_seconds: how much of the newest data it would have lost.
        stopped: why it ended before its checks; empty when it did not.
    """

    begun_at: str
    ended_at: str
    checks: list[Check] = []
    rto_seconds: int | None = None
    rpo_seconds: int | None = None
    stopped: str = ""
