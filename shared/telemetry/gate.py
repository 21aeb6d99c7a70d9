"""A bounded queue that counts: what did not fit, and what the receiver did not take."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.trace.export import SpanExporter

from shared.telemetry.sinks import QUEUE, Losses


class Gate:
    """Counts what is queued, so that what does not fit is counted too."""

    def __init__(self, signal: str, losses: Losses) -> None:
        self._signal, self._losses = signal, losses
        self._lock = threading.Lock()
        self._queued = 0

    def enter(self) -> bool:
        """Take a place in the queue; False when there is none."""
        with self._lock:
            fits = self._queued < QUEUE
            self._queued += fits
        if not fits:
            self._losses.add(self._signal, "queue_full")
        return fits

    def export[B: Sequence[Any], R](self, send: Callable[[B], R], batch: B) -> R:
        """Send a batch; one that the receiver did not take is lost."""
        name = "error"
        try:
            result = send(batch)
            name = getattr(result, "name", "SUCCESS")
        finally:
            with self._lock:
                self._queued -= len(batch)
            if name != "SUCCESS":
                self._losses.add(self._signal, "not_accepted", len(batch))
        return result


class CountedSpans(SpanExporter):
    """An exporter of spans behind a gate."""

    def __init__(self, exporter: SpanExporter, gate: Gate) -> None:
        self._exporter, self._gate = exporter, gate

    def export(self, spans: Sequence[Any]) -> Any:
        """Send a batch."""
        return self._gate.export(self._exporter.export, spans)

    def shutdown(self) -> None:
        """End the exporter's own tries."""
        self._exporter.shutdown()


class CountedLogs(LogRecordExporter):
    """An exporter of logs behind a gate."""

    def __init__(self, exporter: LogRecordExporter, gate: Gate) -> None:
        self._exporter, self._gate = exporter, gate

    def export(self, batch: Sequence[Any]) -> Any:
        """Send a batch."""
        return self._gate.export(self._exporter.export, batch)

    def shutdown(self) -> None:
        """End the exporter's own tries."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # the SDK's own

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        """Nothing is kept here."""
        return timeout_millis > 0
