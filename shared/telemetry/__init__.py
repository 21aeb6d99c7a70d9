"""Spans, metrics and structured logs by OpenTelemetry. Nothing of the SDK is imported unless an exporter is set."""
