"""The real exporters over real connections: to an OTLP receiver, to a stand-in for Application Insights, to nobody."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from local.traces.receiver import receiving
from shared.log import LOGGER
from shared.models.runs import Run
from shared.telemetry import ids, logs, pipeline, spans
from shared.telemetry.metrics import measure

RUN = Run(request_id="req-0123456789ab", application="payments-api", branch="source", environment="dev")
KEY = "00000000-0000-0000-0000-0000000000aa"
CANARY = "ghs_CanaryCanaryCanary0123456789"


@contextmanager
def _telling(patch: pytest.MonkeyPatch, **environment: str) -> Iterator[pipeline.Pipeline]:
    patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    for name, value in environment.items():
        patch.setenv(name, value)
    pipeline.pipeline.cache_clear()
    logs.install()
    way = pipeline.pipeline()
    assert way is not None
    try:
        yield way
    finally:
        way._loader.join(60)
        way.close(60)
        pipeline.pipeline.cache_clear()


def _work() -> None:
    """A step with a call, a failure, a log line."""
    with spans.working_for(RUN, "ensure_repository"), spans.step(RUN, "ensure_repository", 1) as step:
        with spans.vendor_call("github", "create repository", method="POST", host="api.github.com") as call:
            call.answered(201, "ABCD:1")
        LOGGER.warning("made it, token=%s", f"Bearer {CANARY}")
        step.error = "integration-conflict"
    measure("appstore.approvals.pending", 4)
    measure("appstore.provision.duration", 61, {"appstore.archetype": "api"})


def test_an_otlp_receiver_gets_spans_metrics_and_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        with _telling(monkeypatch, APPSTORE_TELEMETRY_EXPORTER="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url + "/"):
            _work()
        step, call = sorted(receiver.spans(), key=lambda span: span.name)
        assert step.trace_id == call.trace_id == f"{ids.trace_of(RUN.request_id):032x}"
        assert call.parent_id == step.span_id == f"{ids.step_span(RUN, 'ensure_repository', 1):016x}"
        assert step.parent_id == f"{ids.branch_span(RUN):016x}"
        assert (step.error, call.error) == ("integration-conflict", "")
        assert call.attributes["http.response.status_code"] == 201
        ((_, pending),) = receiver.points("appstore.approvals.pending")
        assert pending.as_double == 4 or pending.as_int == 4
        ((labels, duration),) = receiver.points("appstore.provision.duration")
        assert (labels, duration.count, duration.sum) == ({"appstore.archetype": "api"}, 1, 61)
        assert list(duration.explicit_bounds)[:3] == [5, 15, 30]
        ((text, attributes, trace_id),) = receiver.logs()
        assert text == "made it, token=Bearer [redacted]"
        assert attributes["appstore.requestId"] == RUN.request_id
        assert trace_id == step.trace_id
        (resource,) = {str(message.resource_spans[0].resource) for message in receiver.messages["/v1/traces"]}
        assert 'string_value: "appstore"' in resource
        assert CANARY not in str(receiver.messages)


# -- Application Insights --------------------------------------------------------------------------------------------


class _Insights:
    """What the ingestion endpoint of Application Insights is sent: the envelopes of its API.

    Documentation: https://learn.microsoft.com/azure/azure-monitor/app/ip-addresses (`/v2.1/track`), envelope schemas in
    https://github.com/microsoft/ApplicationInsights-Home/tree/master/EndpointSpecs
    """

    def __init__(self) -> None:
        self.envelopes: list[dict[str, Any]] = []
        self.paths: set[str] = set()

    def take(self, path: str, body: bytes) -> bytes:
        self.paths.add(path)
        items = json.loads(body)
        self.envelopes += items
        return json.dumps({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}).encode()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [envelope for envelope in self.envelopes if envelope["data"]["baseType"] == kind]


@contextmanager
def _insights() -> Iterator[tuple[_Insights, str]]:
    service = _Insights()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = service.take(self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") else body)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield service, f"InstrumentationKey={KEY};IngestionEndpoint=http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def test_application_insights_gets_envelopes_with_the_requests_operation_id(monkeypatch: pytest.MonkeyPatch) -> None:
    with _insights() as (service, connection):
        settings = {
            "APPSTORE_TELEMETRY_EXPORTER": "application_insights",
            "APPLICATIONINSIGHTS_CONNECTION_STRING": connection,
        }
        with _telling(monkeypatch, **settings) as way:
            with (
                spans.http_call("create_request", "POST", "/api/requests", "") as http,
                spans.about_request(http, RUN.request_id),
            ):
                _work()
            way._loader.join(30)
        operation = f"{ids.trace_of(RUN.request_id):032x}"
        assert service.paths == {"/v2.1/track"}
        assert {envelope["iKey"] for envelope in service.envelopes} == {KEY}
        (request,) = service.of("RequestData")
        calls = {envelope["data"]["baseData"]["name"]: envelope for envelope in service.of("RemoteDependencyData")}
        assert set(calls) == {"ensure_repository", "github: create repository"}
        assert {one["tags"]["ai.operation.id"] for one in [request, *calls.values()]} == {operation}
        step = f"{ids.step_span(RUN, 'ensure_repository', 1):016x}"
        assert calls["ensure_repository"]["data"]["baseData"]["id"] == step
        assert calls["github: create repository"]["tags"]["ai.operation.parentId"] == step
        assert request["tags"]["ai.operation.parentId"] == f"{ids.root_of(RUN.request_id):016x}"
        assert request["tags"]["ai.cloud.role"] == "appstore"
        (line,) = service.of("MessageData")
        assert line["data"]["baseData"]["message"] == "made it, token=Bearer [redacted]"
        assert line["tags"]["ai.operation.id"] == operation
        metrics = {
            point["name"]: point for each in service.of("MetricData") for point in each["data"]["baseData"]["metrics"]
        }
        assert metrics["appstore.approvals.pending"]["value"] == 4
        assert metrics["appstore.provision.duration"]["value"] == 61
        assert CANARY not in json.dumps(service.envelopes)


# -- nobody ----------------------------------------------------------------------------------------------------------


@contextmanager
def _silent_port() -> Iterator[int]:
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def _refusing_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("how", ["refuses", "never answers"])
def test_a_receiver_that_is_down_slows_nothing_and_is_counted(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with _silent_port() as silent:
        port = silent if how == "never answers" else _refusing_port()
        settings = {
            "APPSTORE_TELEMETRY_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        }
        monkeypatch.setattr(LOGGER, "propagate", False)
        with _telling(monkeypatch, **settings) as way:
            way._loader.join(30)
            begun = time.monotonic()
            for _ in range(50):
                _work()
            assert time.monotonic() - begun < 5.0  # a caller who waited would wait for 50 timeouts
            deadline = time.monotonic() + 20
            while not way.losses.counts().get(("traces", "not_accepted")) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert way.losses.counts()["traces", "not_accepted"] >= 1
            begun = time.monotonic()
            way.close()
            assert time.monotonic() - begun < pipeline.GRACE_SECONDS * 2 + 5.0


def test_the_console_gets_one_line_for_each_span(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _telling(monkeypatch, APPSTORE_TELEMETRY_EXPORTER="console"):
        _work()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert {line["name"] for line in lines if "kind" in line} == {"ensure_repository", "github: create repository"}
    assert any("resource_metrics" in line for line in lines)
    assert any(line.get("body") == "made it, token=Bearer [redacted]" for line in lines)
