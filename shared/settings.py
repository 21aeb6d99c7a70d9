"""Settings: one frozen class per integration, read from the environment on first use.

An import must never fail on a missing variable: Azure Functions for Python would then lose all
routes. ``load`` is called where a setting is needed and names the variable in its error.
"""

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import ConfigurationError

USER_AGENT = "appstore-orchestrator"


class Settings(BaseSettings):
    """Base of all settings classes; fields are upper-case variables with the class's prefix."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


def load[S: Settings](settings: type[S]) -> S:
    """The settings of one integration.

    Raises:
        ConfigurationError: naming the first variable that is missing or wrong.
    """
    try:
        return settings()
    except ValidationError as error:
        first = error.errors()[0]
        prefix = settings.model_config.get("env_prefix", "")
        variable = f"{prefix}{'_'.join(str(part) for part in first['loc'])}".upper()
        raise ConfigurationError(variable, reason(first["msg"])) from error


def reason(message: str) -> str:
    """The words of a validator, without pydantic's own before them."""
    return message.removeprefix("Value error, ")


class AppStoreSettings(Settings):
    """The App Store itself."""

    model_config = SettingsConfigDict(env_prefix="APPSTORE_", frozen=True, extra="ignore")

    storage_account: str = Field(description="Storage account of the register (tables) and of plan documents (blobs).")
    audit_account: str = Field(
        default="",
        description="Storage account of the audit anchors, which nobody can change (infra/platform/audit); "
        "empty: that of the register, where whoever may write it can.",
    )
    approval_hours: float = Field(default=72.0, gt=0, description="Hours until a plan that nobody decided on expires.")
    poll_seconds: float = Field(default=5.0, gt=0, description="First interval between two looks at a pipeline run.")
    retry_seconds: float = Field(default=15.0, gt=0, description="Fixed interval between two tries of an activity.")
    retry_attempts: int = Field(default=4, ge=1, description="Tries of an activity before the request is parked.")
    retention_days: int = Field(
        default=90, ge=7, description="Days that settled events, dead letters and ended operations are kept."
    )
    history_days: int = Field(
        default=30,
        ge=1,
        description="Days that the history of an orchestration is kept after its end; never longer than "
        "`APPSTORE_RETENTION_DAYS`.",
    )
    run_minutes: float = Field(default=60.0, gt=0, description="Minutes after which a pipeline run counts as lost.")
    public_url: str = Field(default="", description="Base URL of this app in links; empty: relative links.")
    drift_parallel: int = Field(
        default=5, ge=0, description="Environments that the daily comparison takes up at once; 0: only on request."
    )
    drill_parallel: int = Field(
        default=2, ge=0, description="Restore drills that are due and run at once; 0: only on request."
    )
    drill_subnet: str = Field(
        default="",
        description="ARM id of this app's subnet, with service endpoints of Key Vault and Storage: what a drill "
        "restores lets only it in. Empty: it lets in whom its source lets in, nobody if that is private endpoints.",
    )
