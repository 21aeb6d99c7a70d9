"""Parameters of a switch by schedule."""

from pydantic import ConfigDict, Field

from shared.models import Model
from shared.models.moment import Moment


class ApplySchedule(Model):
    """The moment whose schedule is applied; without it, now."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    at: Moment | None = Field(default=None, description="Moment whose last switch is applied; empty: now.")
