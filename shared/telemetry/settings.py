"""Where telemetry goes."""

from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from shared.errors import ConfigurationError
from shared.settings import Settings, load

Exporter = Literal["none", "console", "otlp", "application_insights"]
Sampler = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]


class TelemetrySettings(Settings):
    """Telemetry. Without an exporter nothing of OpenTelemetry's SDK is loaded."""

    appstore_telemetry_exporter: Exporter = Field(
        default="none",
        description="Where spans, metrics and logs go: `none`, `console`, `otlp`, `application_insights`.",
    )
    appstore_log_format: Literal["text", "json"] = Field(
        default="text", description="`json`: one JSON document per line on standard error, with the request's ids."
    )
    applicationinsights_connection_string: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="Connection string of Application Insights; needed by that exporter only.",
    )
    otel_sdk_disabled: bool = Field(default=False, description="`true` is the same as the exporter `none`.")
    otel_service_name: str = Field(default="appstore", description="Name of this app in traces; role name in Azure.")
    otel_exporter_otlp_endpoint: str = Field(
        default="http://localhost:4318", description="Base address of an OTLP/HTTP receiver, for the exporter `otlp`."
    )
    otel_traces_sampler: Sampler = Field(
        default="parentbased_always_on", description="Which traces are kept; decided by the trace's id alone."
    )
    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1, description="Share of traces that a ratio keeps.")
    otel_bsp_schedule_delay: int = Field(
        default=1000,
        gt=0,
        description="Milliseconds that spans and logs wait for others; lost when a process is killed.",
    )
    otel_metric_export_interval: int = Field(
        default=60000, gt=0, description="Milliseconds between exports of metrics."
    )

    @field_validator("applicationinsights_connection_string")
    @classmethod
    def _complete(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if not value.get_secret_value() and info.data.get("appstore_telemetry_exporter") == "application_insights":
            raise ValueError("the exporter application_insights needs it")
        return value


def telemetry_settings() -> tuple[TelemetrySettings, str]:
    """The settings, or those of a silent app and the reason: wrong telemetry settings never stop a request."""
    try:
        return load(TelemetrySettings), ""
    except ConfigurationError as error:
        return TelemetrySettings.model_construct(), str(error)
