"""One exporter per signal, of the kind that the settings name.

Documentation: https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and
https://learn.microsoft.com/azure/azure-monitor/app/opentelemetry-configuration
"""

import os
import sys
from dataclasses import dataclass

from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, LogRecordExporter
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from shared.telemetry.settings import TelemetrySettings

_UNASKED = (
    "STATSBEAT_DISABLED_ALL",
    "SDKSTATS_DISABLED",
    "CONTROLPLANE_DISABLED",
    "OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)


@dataclass(frozen=True)
class Exporters:
    """Where the three signals go."""

    spans: SpanExporter
    metrics: MetricExporter
    logs: LogRecordExporter


def exporters_of(settings: TelemetrySettings) -> Exporters:
    """Make the exporters; each kind's packages are loaded only here."""
    kinds = {"console": _console, "otlp": _otlp, "application_insights": _application_insights}
    return kinds[settings.appstore_telemetry_exporter](settings)


def _console(_settings: TelemetrySettings) -> Exporters:
    out = sys.stderr
    return Exporters(
        ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json(indent=None) + "\n"),
        ConsoleMetricExporter(out=out, formatter=lambda data: data.to_json(indent=None) + "\n"),
        ConsoleLogRecordExporter(out=out, formatter=lambda record: record.to_json(indent=None) + "\n"),
    )


def _otlp(settings: TelemetrySettings) -> Exporters:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: PLC0415 - on demand
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    base = settings.otel_exporter_otlp_endpoint.rstrip("/")
    return Exporters(
        OTLPSpanExporter(endpoint=f"{base}/v1/traces"),
        OTLPMetricExporter(endpoint=f"{base}/v1/metrics"),
        OTLPLogExporter(endpoint=f"{base}/v1/logs"),
    )


def _application_insights(settings: TelemetrySettings) -> Exporters:
    # The exporter would also report its own use to Microsoft, ask there for remote switches, and look for a global
    # provider that we do not have: only what is configured is called. Whoever wants it sets the variables.
    for name in _UNASKED:
        os.environ.setdefault(f"APPLICATIONINSIGHTS_{name}", "true")
    from azure.monitor.opentelemetry.exporter import (  # noqa: PLC0415 - heavy
        AzureMonitorLogExporter,
        AzureMonitorMetricExporter,
        AzureMonitorTraceExporter,
    )

    options = {
        "connection_string": settings.applicationinsights_connection_string.get_secret_value(),
        "disable_offline_storage": True,  # nothing about requests is left on a worker's disk
    }
    return Exporters(
        AzureMonitorTraceExporter(**options), AzureMonitorMetricExporter(**options), AzureMonitorLogExporter(**options)
    )
