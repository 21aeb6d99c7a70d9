"""Parameters of the remediation of what does not comply with Azure Policy."""

from pydantic import ConfigDict, Field

from shared.models import Model


class RemediateCompliance(Model):
    """What to look at; without anything, all that does not comply in the application's environments."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    resource: str = Field(default="", max_length=1000, description="ARM id of one resource; empty: every one.")
    assignment: str = Field(default="", max_length=1000, description="ARM id of a policy assignment; empty: every one.")
    definition: str = Field(default="", max_length=1000, description="ARM id of a policy definition; empty: every one.")
