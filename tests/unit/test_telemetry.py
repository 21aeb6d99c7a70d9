"""Spans, metrics and logs of the product, behind the real SDK; only the exporters are in memory."""

import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.clients import _http
from shared.clients._http import Call, Vendor
from shared.correlation import correlated, current
from shared.errors import TransientIntegrationError
from shared.log import LOGGER
from shared.models.runs import Run
from shared.telemetry import ids, logs, pipeline, sdk, spans
from shared.telemetry.instruments import INSTRUMENTS
from shared.telemetry.metrics import measure
from shared.telemetry.pipeline import Pipeline
from shared.telemetry.records import SpanRecord, Told
from shared.telemetry.settings import TelemetrySettings, telemetry_settings
from shared.telemetry.sinks import QUEUE, Losses
from tests.recorder import Recorder, recording

REQUEST = "req-0123456789ab"
RUN = Run(request_id=REQUEST, application="payments-api", branch="environment", environment="dev", attempt=2)
CANARY = "ghs_CanaryCanaryCanary0123456789"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    with recording(monkeypatch) as recorder:
        yield recorder


def _hex(number: int, digits: int = 16) -> str:
    return f"{number:0{digits}x}"


# -- ids -------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=50), st.integers(min_value=1, max_value=50))
def test_every_attempt_of_a_request_is_in_one_trace_and_has_its_own_span(first: int, second: int) -> None:
    assert ids.trace_of(REQUEST) == ids.trace_of(REQUEST) < 2**128
    one, other = (RUN.model_copy(update={"attempt": attempt}) for attempt in (first, second))
    assert (ids.branch_span(one) == ids.branch_span(other)) is (first == second)
    assert (ids.step_span(RUN, "apply", first) == ids.step_span(RUN, "apply", second)) is (first == second)
    assert ids.step_span(RUN, "apply", first) != ids.step_span(RUN.model_copy(update={"undo": True}), "apply", first)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
        "01-" + "1" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "G" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "1" * 16 + "-01-more",
        "x" * 10_000,
    ],
)
def test_a_header_that_is_no_traceparent_is_none(header: str) -> None:
    assert ids.parse_traceparent(header) is None


@settings(deadline=None)
@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))
def test_a_traceparent_is_read_as_it_was_written(trace_id: int, span_id: int) -> None:
    assert ids.parse_traceparent(ids.traceparent(trace_id, span_id)) == (trace_id, span_id)


# -- without an exporter ---------------------------------------------------------------------------------------------


def test_nothing_is_built_without_an_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPSTORE_TELEMETRY_EXPORTER", raising=False)
    pipeline.pipeline.cache_clear()
    assert pipeline.pipeline() is None
    with spans.working_for(RUN, "apply"), spans.step(RUN, "apply", 1), spans.vendor_call("github", "get") as call:
        assert call.traceparent == {}
        assert current().trace_id == ids.trace_of(REQUEST)  # for log lines
    measure("appstore.approvals.pending", 1)


def test_the_standard_variable_switches_it_off_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPSTORE_TELEMETRY_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    pipeline.pipeline.cache_clear()
    assert pipeline.pipeline() is None
    pipeline.pipeline.cache_clear()


def test_a_start_hands_the_requests_trace_to_the_durable_extension(told: Recorder) -> None:
    assert told
    carrier: dict[str, str] = {}
    with spans.carried(REQUEST):
        TraceContextTextMapPropagator().inject(carrier)  # what the SDK's start_new does
    assert ids.parse_traceparent(carrier["traceparent"]) == (ids.trace_of(REQUEST), ids.root_of(REQUEST))
    after: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(after)
    assert after == {}


def test_a_wrong_setting_switches_telemetry_off_and_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPSTORE_TELEMETRY_EXPORTER", "application_insights")
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", "")
    settings, problem = telemetry_settings()
    assert problem.startswith("APPLICATIONINSIGHTS_CONNECTION_STRING: ")
    assert settings.appstore_telemetry_exporter == "none"


# -- spans -----------------------------------------------------------------------------------------------------------


def test_a_step_hangs_below_its_branch_and_its_calls_below_it(told: Recorder) -> None:
    with (
        spans.working_for(RUN, "start_apply"),
        spans.step(RUN, "start_apply", 3),
        spans.vendor_call("github", "dispatch workflow", method="POST", host="api.github.com", tries=2) as call,
    ):
        call.answered(200, "vendor-1")
        header = ids.parse_traceparent(call.traceparent["traceparent"])
    step, called = told.span("start_apply"), told.span("github: dispatch workflow")
    assert step.context is not None
    assert called.context is not None
    assert step.context.trace_id == called.context.trace_id == ids.trace_of(REQUEST)
    assert step.context.span_id == ids.step_span(RUN, "start_apply", 3)
    assert step.parent is not None
    assert step.parent.span_id == ids.branch_span(RUN)
    assert called.parent is not None
    assert called.parent.span_id == step.context.span_id
    assert header == (called.context.trace_id, called.context.span_id)
    assert dict(step.attributes or {}) == {
        "appstore.request.id": REQUEST,
        "appstore.application": "payments-api",
        "appstore.instance.id": f"{REQUEST}:onboard:2",
        "appstore.step": "start_apply",
        "appstore.branch": "environment",
        "appstore.environment": "dev",
        "appstore.attempt": 2,
        "appstore.step.try": 3,
    }
    assert {"http.request.resend_count": 1, "http.response.status_code": 200}.items() <= (
        called.attributes or {}
    ).items()


def test_a_call_of_a_reading_activity_hangs_below_what_will_surely_be_told(told: Recorder) -> None:
    with (
        spans.working_for(RUN, "read_apply_result"),
        spans.look(RUN, "read_apply_result"),
        spans.vendor_call("blob storage", "get blob"),
    ):
        pass
    parent = told.span("blob storage: get blob").parent
    assert parent is not None
    assert parent.span_id == ids.run_span(REQUEST, attempt=2, undo=False)


def test_a_try_whose_process_died_is_told_by_the_next_one(told: Recorder) -> None:
    spans.tell_interrupted(RUN, "ensure_repository", 1, "2026-01-01T00:00:00.250Z")
    span = told.span("ensure_repository")
    assert span.context is not None
    assert span.context.span_id == ids.step_span(RUN, "ensure_repository", 1)
    assert span.start_time == 1_767_225_600_250_000_000
    assert span.status.description == "interrupted"


def test_an_error_ends_a_span_with_its_type_and_goes_on(told: Recorder) -> None:
    with pytest.raises(ZeroDivisionError), spans.working_for(RUN, "x"), spans.step(RUN, "x", 1):
        raise ZeroDivisionError(CANARY)
    assert told.span("x").status.description == "ZeroDivisionError"
    assert CANARY not in told.everything()


def test_the_callers_trace_is_a_link_and_never_the_requests_trace(told: Recorder) -> None:
    theirs = ids.traceparent(0xABC, 0xDEF)
    with (
        spans.http_call("create_request", "POST", "/api/requests", theirs) as span,
        spans.about_request(span, REQUEST),
        spans.vendor_call("entra id", "get signing keys"),
    ):
        pass
    http, call = told.span("POST /api/requests"), told.span("entra id: get signing keys")
    assert http.context is not None
    assert call.parent is not None
    assert (http.context.trace_id, call.parent.span_id) == (ids.trace_of(REQUEST), http.context.span_id)
    assert http.parent is not None
    assert http.parent.span_id == ids.root_of(REQUEST)
    assert [(link.context.trace_id, link.context.span_id) for link in http.links] == [(0xABC, 0xDEF)]


@pytest.mark.parametrize(("share", "kept"), [("0.0", 0), ("1.0", 40)])
def test_a_sampler_decides_by_the_trace_alone(share: str, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", share)
    with recording(monkeypatch) as told:
        for number in range(20):
            run = RUN.model_copy(update={"request_id": f"req-{number}"})
            with spans.working_for(run, "x"), spans.step(run, "x", 1), spans.look(run, "y"):
                pass
        assert len(told.spans()) == kept


# -- vendors' calls --------------------------------------------------------------------------------------------------


async def _nobody() -> dict[str, str]:
    return {}


async def _call(monkeypatch: pytest.MonkeyPatch, answers: list[httpx.Response], *, traced: bool) -> list[httpx.Request]:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers[len(seen) - 1]

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(_http, "_client", lambda: client)
    vendor = Vendor("grafana", "https://grafana.example", _nobody, traced=traced)
    call = Call("list folders", "GET", f"/folders?token={CANARY}", params={"code": CANARY})
    with spans.working_for(RUN, "ensure_folder"):
        await vendor.call(call)
    return seen


async def test_each_try_of_a_call_is_a_span_and_a_measurement(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    throttled = httpx.Response(429, headers={"Retry-After": "0"}, json={"message": CANARY})
    seen = await _call(monkeypatch, [throttled, httpx.Response(200, json=[])], traced=True)
    first, second = told.spans("grafana: list folders")
    assert (first.attributes or {})["error.type"] == "integration-transient"
    assert "error.type" not in (second.attributes or {})
    sent = [ids.parse_traceparent(request.headers["traceparent"]) for request in seen]
    assert sent == [(span.context.trace_id, span.context.span_id) for span in (first, second) if span.context]
    found = {
        labels["http.response.status_code"]: point.count
        for labels, point in told.points("http.client.request.duration")
    }
    assert found == {429: 1, 200: 1}
    assert [(labels, point.value) for labels, point in told.points("appstore.vendor.throttled")] == [
        ({"appstore.system": "grafana"}, 1)
    ]
    assert CANARY not in told.everything()


async def test_a_vendor_that_does_not_know_the_header_does_not_get_it(
    told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,) = await _call(monkeypatch, [httpx.Response(200, json=[])], traced=False)
    assert "traceparent" not in request.headers
    assert told.spans("grafana: list folders")


async def test_no_answer_at_all_is_measured(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"no route, password={CANARY}", request=request)

    client = httpx.AsyncClient(transport=httpx.MockTransport(silent))
    monkeypatch.setattr(_http, "_client", lambda: client)
    with pytest.raises(TransientIntegrationError):
        await Vendor("slack", "https://slack.com", _nobody).call(Call("post message", "POST", "/x"))
    ((labels, point),) = told.points("http.client.request.duration")
    assert (labels["error.type"], point.count) == ("integration-transient", 1)
    assert "http.response.status_code" not in labels
    assert CANARY not in told.everything()


# -- metrics ---------------------------------------------------------------------------------------------------------


def test_gauges_hold_the_last_value_and_forget_it_when_it_is_old(
    told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (7, 3):
        measure("appstore.approvals.pending", value)
        measure("appstore.queue.age", value * 10, {"appstore.queue": "claims"})
    assert [(labels, point.value) for labels, point in told.points("appstore.approvals.pending")] == [({}, 3)]
    assert [point.value for _, point in told.points("appstore.queue.age")] == [30]
    later = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert told.points("appstore.approvals.pending") == []


def test_a_label_that_an_instrument_does_not_have_is_refused(told: Recorder) -> None:
    with pytest.raises(KeyError, match=r"appstore\.request\.id"):
        measure("appstore.approvals.pending", 1, {"appstore.request.id": REQUEST})
    assert told.points("appstore.approvals.pending") == []


def test_no_instrument_has_a_label_that_grows_with_the_requests() -> None:
    labels = {label for instrument in INSTRUMENTS.values() for label in instrument.labels}
    assert not [label for label in labels if re.search(r"request\.id|application|instance|user|url", label)]


# -- logs ------------------------------------------------------------------------------------------------------------


def _json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("APPSTORE_LOG_FORMAT", "json")
    logs._as_json.cache_clear()
    logs.install()
    yield
    monkeypatch.delenv("APPSTORE_LOG_FORMAT")
    logs._as_json.cache_clear()
    logs._as_json()  # lines go to the worker's handler again
    assert LOGGER.propagate


@pytest.mark.usefixtures("as_json")
def test_a_line_is_one_json_document_with_the_requests_ids(capsys: pytest.CaptureFixture[str]) -> None:
    with spans.working_for(RUN, "start_apply"):
        LOGGER.warning("one\nline, %s, for 'Störe'", "two halves")
    (line,) = _json_lines(capsys)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "appstore",
        "message": "one\nline, two halves, for 'Störe'",
        "requestId": REQUEST,
        "application": "payments-api",
        "instanceId": f"{REQUEST}:onboard:2",
        "step": "start_apply",
        "environment": "dev",
        "traceId": _hex(ids.trace_of(REQUEST), 32),
        "spanId": _hex(ids.run_span(REQUEST, attempt=2, undo=False)),
    }


@pytest.mark.usefixtures("as_json")
def test_a_line_outside_of_a_request_has_no_ids(capsys: pytest.CaptureFixture[str]) -> None:
    LOGGER.warning("hello")
    (line,) = _json_lines(capsys)
    assert set(line) == {"time", "level", "logger", "message"}


@pytest.mark.usefixtures("as_json")
def test_a_secret_in_a_text_or_an_exception_reaches_nothing(told: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("appstore").setLevel(logging.INFO)
    with spans.working_for(RUN, "x"):
        try:
            _fail(f"Authorization: Bearer {CANARY}")
        except RuntimeError:
            LOGGER.exception("password=%s", CANARY)
        with correlated(step=f"token {CANARY}"), spans.vendor_call("github", f"bearer {CANARY}"):
            LOGGER.error("x?sig=%s&y", CANARY)
    lines = _json_lines(capsys)
    assert len(lines) == 2
    assert "RuntimeError" in lines[0]["exception"]
    (first, second) = told.logs()
    assert first.trace_id == second.trace_id == ids.trace_of(REQUEST)
    assert first.severity_text == "ERROR"
    assert CANARY not in told.everything() + json.dumps(lines)


def _fail(words: str) -> None:
    raise RuntimeError(words)


# -- the way out -----------------------------------------------------------------------------------------------------


class _Slow:
    """A sink that is never done."""

    def __init__(self) -> None:
        self.taken: list[Told] = []

    def tell(self, told: Told) -> None:
        self.taken.append(told)

    def close(self, seconds: float) -> None:
        time.sleep(seconds * 10)


def _record(number: int = 1) -> SpanRecord:
    return SpanRecord("x", "internal", number, number, 0, 1, 2)


def test_what_is_told_while_the_sdk_loads_is_kept_up_to_a_limit() -> None:
    slow = _Slow()
    go = threading.Event()

    def build(_losses: Losses) -> _Slow:
        go.wait(10)
        return slow

    way = Pipeline(build)
    for number in range(1, QUEUE + 11):
        way.tell(_record(number))
    assert way.losses.counts() == {("traces", "queue_full"): 10}
    go.set()
    way._loader.join(10)
    assert len(slow.taken) == QUEUE


def test_the_end_of_the_process_waits_for_no_receiver() -> None:
    way = Pipeline(lambda _losses: _Slow())
    begun = time.monotonic()
    way.close(0.2)
    assert time.monotonic() - begun < 1.5  # the sink takes 2 s


def test_an_sdk_that_does_not_load_loses_and_counts() -> None:
    def broken(_losses: Losses) -> _Slow:
        raise ImportError("no such package")

    way = Pipeline(broken)
    way._loader.join(10)
    way.tell(_record())
    assert way.losses.counts() == {("traces", "not_configured"): 1}


def test_a_receiver_that_takes_nothing_costs_the_caller_nothing_and_is_counted(
    told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.spans()  # loaded
    blocked = threading.Event()

    def hang(_batch: object) -> Any:
        blocked.wait(20)
        raise httpx.ConnectError("down")

    monkeypatch.setattr(told._spans, "export", hang)
    way = pipeline.pipeline()
    assert way is not None
    begun = time.monotonic()
    for number in range(1, QUEUE + 101):
        way.tell(_record(number))
    assert time.monotonic() - begun < 10.0  # a caller who waited would wait 20 s
    assert way.losses.counts() == {("traces", "queue_full"): 100}
    blocked.set()
    told.sdk._tracers.force_flush()
    assert way.losses.counts()["traces", "not_accepted"] == QUEUE
    monkeypatch.undo()
    assert {
        (labels["appstore.signal"], labels["error.type"]): point.value
        for labels, point in told.points("appstore.telemetry.lost")
    } == {("traces", "queue_full"): 100, ("traces", "not_accepted"): QUEUE}


def test_only_a_thread_loads_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded_by: list[str] = []

    def sink_of(_settings: TelemetrySettings, _losses: Losses) -> _Slow:
        loaded_by.append(threading.current_thread().name)
        return _Slow()

    monkeypatch.setenv("APPSTORE_TELEMETRY_EXPORTER", "console")
    monkeypatch.setattr(sdk, "sink_of", sink_of)
    pipeline.pipeline.cache_clear()
    way = pipeline.pipeline()
    assert way is not None
    way._loader.join(10)
    pipeline.pipeline.cache_clear()
    assert loaded_by == ["telemetry"]
