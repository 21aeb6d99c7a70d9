"""An OTLP/HTTP receiver: the protobuf messages of a real collector, kept in memory.

Documentation: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

_PROTOBUF = "application/x-protobuf"
_MESSAGES: dict[str, tuple[type[Any], type[Any]]] = {
    "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    "/v1/logs": (ExportLogsServiceRequest, ExportLogsServiceResponse),
}


@dataclass(frozen=True)
class Span:
    """A span as it came over the wire; times in seconds since the epoch."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start: float
    end: float
    error: str
    attributes: dict[str, Any]


@dataclass
class Receiver:
    """Collects whatever is posted to it."""

    url: str = ""
    messages: dict[str, list[Any]] = field(default_factory=lambda: {path: [] for path in _MESSAGES})

    def spans(self) -> list[Span]:
        """Every span so far, oldest first."""
        found = [
            _span(span)
            for message in list(self.messages["/v1/traces"])
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.start)

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Labels and data point of the newest report of a metric."""
        found: list[tuple[dict[str, Any], Any]] = []
        for message in list(self.messages["/v1/metrics"]):
            for resource in message.resource_metrics:
                for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                    if metric.name == name:
                        data = getattr(metric, metric.WhichOneof("data"))
                        found = [(_attributes(point), point) for point in data.data_points]
        return found

    def logs(self) -> list[tuple[str, dict[str, Any], str]]:
        """Text, attributes and trace of every log line so far."""
        return [
            (record.body.string_value, _attributes(record), record.trace_id.hex())
            for message in list(self.messages["/v1/logs"])
            for resource in message.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


def _span(span: Any) -> Span:
    return Span(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        (span.status.message or "error") if span.status.code == span.status.STATUS_CODE_ERROR else "",
        _attributes(span),
    )


def _attributes(thing: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in thing.attributes}


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Receive on a port of the loopback interface until the end of the block."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            kinds = _MESSAGES.get(self.path)
            if kinds is None or self.headers.get("Content-Type") != _PROTOBUF:
                self.send_error(404 if kinds is None else 415)
                return
            request, response = kinds
            plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            receiver.messages[self.path].append(request.FromString(plain))
            answer = response().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", _PROTOBUF)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="otlp", daemon=True)
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
