"""Parameters of the reconciliation of tags."""

from pydantic import ConfigDict, Field

from shared.models import Model


class ReconcileTags(Model):
    """Which resource; without it, all of the application's."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    resource: str = Field(default="", max_length=1000, description="ARM id of one resource; empty: every one.")
