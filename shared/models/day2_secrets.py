"""Parameters and results of renewing secrets."""

from pydantic import ConfigDict, Field

from shared.models import Model
from shared.models.runs import Effect

_VAULT, _SECRET = r"^[a-zA-Z][0-9a-zA-Z-]{2,23}$", r"^[0-9a-zA-Z-]{1,127}$"


class SecretName(Model):
    """Which secret."""

    vault: str = Field(pattern=_VAULT, description="Name of the Key Vault; it belongs to the application.")
    secret: str = Field(pattern=_SECRET, description="Name of the secret.")


class RotateSecret(SecretName):
    """Which secret to renew, and which version of it was seen to be near its end."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    version: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{32}$",
        description="Version that is to be replaced; when it is no longer the current one, nothing is done.",
    )


class RevokeSecret(SecretName):
    """Which secret leaked, and what happened."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    reason: str = Field(min_length=10, max_length=500, description="What happened, for the audit.")


class Overlap(Effect):
    """Until when the old credential works on; None when nothing new was published."""

    until: str | None = None
