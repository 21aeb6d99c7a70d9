"""OpenTelemetry's SDK behind the pipeline: the only module that builds its providers, none of them global.

Azure Functions may set the global providers (its OpenTelemetry mode); these are the app's own, with ids that are given
and not drawn.
"""

import logging
import threading
import uuid

from opentelemetry import trace
from opentelemetry._logs import LogRecord as OtelLogRecord
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision

from shared.telemetry.exporters import Exporters, exporters_of
from shared.telemetry.gate import CountedLogs, CountedSpans, Gate
from shared.telemetry.recorders import Levels, recorders
from shared.telemetry.records import LogRecord, SpanRecord, Told
from shared.telemetry.settings import TelemetrySettings
from shared.telemetry.sinks import QUEUE, Losses, Sink

_SCOPE = "appstore"
_BATCH = 512
_KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
}
_SEVERITIES = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}


def sink_of(settings: TelemetrySettings, losses: Losses) -> Sink:
    """The sink that the settings describe."""
    exporters = exporters_of(settings)
    reader = PeriodicExportingMetricReader(
        exporters.metrics, export_interval_millis=settings.otel_metric_export_interval
    )
    return Sdk(settings, losses, exporters, reader)


class Sdk:
    """Providers for spans, metrics and logs of this worker."""

    def __init__(self, settings: TelemetrySettings, losses: Losses, exporters: Exporters, reader: MetricReader) -> None:
        resource = Resource.create({SERVICE_NAME: settings.otel_service_name, SERVICE_INSTANCE_ID: str(uuid.uuid4())})
        delay = settings.otel_bsp_schedule_delay
        self._losses = losses
        self._gates = {signal: Gate(signal, losses) for signal in ("traces", "logs")}
        self._ids = _GivenIds()
        self._tracers = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._tracers.add_span_processor(
            BatchSpanProcessor(
                CountedSpans(exporters.spans, self._gates["traces"]),
                max_queue_size=QUEUE,
                schedule_delay_millis=delay,
                max_export_batch_size=_BATCH,
            )
        )
        self._loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self._loggers.add_log_record_processor(
            BatchLogRecordProcessor(
                CountedLogs(exporters.logs, self._gates["logs"]),
                max_queue_size=QUEUE,
                schedule_delay_millis=delay,
                max_export_batch_size=_BATCH,
            )
        )
        self._meters = MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)
        self._levels = Levels()
        self._record = recorders(self._meters.get_meter(_SCOPE), self._levels, losses)
        self._tracer = self._tracers.get_tracer(_SCOPE)
        self._logger = self._loggers.get_logger(_SCOPE)

    def tell(self, told: Told) -> None:
        """Take a record without waiting."""
        if isinstance(told, SpanRecord):
            self._span(told)
        elif isinstance(told, LogRecord):
            self._log(told)
        else:
            self._record[told.name](told)

    def close(self, seconds: float) -> None:
        """Export what is queued; the caller does not wait longer than the seconds."""
        providers = (self._tracers, self._loggers, self._meters)
        threads = [threading.Thread(target=provider.shutdown, daemon=True) for provider in providers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds)

    def _span(self, told: SpanRecord) -> None:
        if not self._sampled(told) or not self._gates["traces"].enter():
            return
        parent = _context(told.trace_id, told.parent_id) if told.parent_id else None
        with self._ids.given(told.trace_id, told.span_id):
            span = self._tracer.start_span(
                told.name,
                context=trace.set_span_in_context(parent) if parent else trace.set_span_in_context(trace.INVALID_SPAN),
                kind=_KINDS[told.kind],
                attributes=told.attributes,
                links=[trace.Link(_context(*link).get_span_context()) for link in told.links],
                start_time=told.start,
            )
        if told.error is not None:
            span.set_status(trace.Status(trace.StatusCode.ERROR, told.error))
        span.end(told.end)

    def _sampled(self, told: SpanRecord) -> bool:
        """Decided by the trace's id: every worker decides alike, now and weeks later."""
        decision = self._tracers.sampler.should_sample(None, told.trace_id, told.name).decision
        return decision is not Decision.DROP

    def _log(self, told: LogRecord) -> None:
        if not self._gates["logs"].enter():
            return
        context = trace.set_span_in_context(_context(told.trace_id, told.span_id)) if told.trace_id else None
        self._logger.emit(
            OtelLogRecord(
                timestamp=told.at,
                context=context,
                severity_text=logging.getLevelName(told.level),
                severity_number=_SEVERITIES.get(told.level, SeverityNumber.INFO),
                body=told.text,
                attributes=dict(told.attributes),
            )
        )


def _context(trace_id: int, span_id: int) -> trace.NonRecordingSpan:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    return trace.NonRecordingSpan(trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags))


class _GivenIds(IdGenerator):
    """Hands out the ids of the span that is being written; one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = (0, 0)

    def given(self, trace_id: int, span_id: int) -> "_GivenIds":
        self._lock.acquire()
        self._ids = (trace_id, span_id)
        return self

    def __enter__(self) -> None:
        return

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    def generate_trace_id(self) -> int:
        return self._ids[0]

    def generate_span_id(self) -> int:
        return self._ids[1]
