"""What the product tells of itself, caught in memory behind the SDK's own processors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.telemetry import pipeline, sdk
from shared.telemetry.exporters import Exporters
from shared.telemetry.settings import TelemetrySettings
from shared.telemetry.sinks import Losses


@dataclass
class Recorder:
    """The three signals."""

    _spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    _logs: InMemoryLogRecordExporter = field(default_factory=InMemoryLogRecordExporter)
    _reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def sink(self, settings: TelemetrySettings, losses: Losses) -> sdk.Sdk:
        self.sdk = sdk.Sdk(settings, losses, Exporters(self._spans, None, self._logs), self._reader)  # type: ignore[arg-type] # the reader needs none
        return self.sdk

    def _settle(self) -> None:
        way = pipeline.pipeline()
        assert way is not None
        way._loader.join(10)
        self.sdk._tracers.force_flush()
        self.sdk._loggers.force_flush()

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Finished spans, all or those of a name."""
        self._settle()
        return [span for span in self._spans.get_finished_spans() if not name or span.name == name]

    def span(self, name: str) -> ReadableSpan:
        """The one span of that name."""
        (found,) = self.spans(name)
        return found

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Labels and data point of everything that an instrument holds."""
        self._settle()
        data = self._reader.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return [
            (dict(point.attributes or {}), point)
            for metric in metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def logs(self) -> list[Any]:
        """Log records as exported."""
        self._settle()
        return [data.log_record for data in self._logs.get_finished_logs()]

    def everything(self) -> str:
        """All that left the process, as text: to look for what must not be in it."""
        data = self._reader.get_metrics_data()
        texts = [span.to_json() for span in self.spans()]
        texts += [f"{record.body} {dict(record.attributes or {})}" for record in self.logs()]
        return "\n".join([*texts, data.to_json() if data else ""])


@contextmanager
def recording(patch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Let the product tell this recorder until the end of the block."""
    recorder = Recorder()
    patch.setenv("APPSTORE_TELEMETRY_EXPORTER", "otlp")
    patch.setattr(sdk, "sink_of", recorder.sink)
    pipeline.pipeline.cache_clear()
    way = pipeline.pipeline()
    assert way is not None
    try:
        yield recorder
    finally:
        way.close()
        pipeline.pipeline.cache_clear()
