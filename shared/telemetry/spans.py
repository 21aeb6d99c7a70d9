"""Spans as the app makes them: HTTP calls, tries of activities, calls to vendors.

A span is told when it has ended. Its attributes are words of the code and numbers: no URL with a query, no body, no
text that a person or a vendor wrote.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from opentelemetry import context as otel_context
from opentelemetry import trace

from shared.correlation import Correlation, correlated, current
from shared.errors import IntegrationError, TransientIntegrationError
from shared.log import redact
from shared.models.runs import Run
from shared.telemetry import ids
from shared.telemetry.metrics import measure
from shared.telemetry.pipeline import pipeline
from shared.telemetry.records import SpanRecord

type Value = str | int | float | bool

_TOO_MANY = 429
_FORBIDDEN = 403


@dataclass
class Span:
    """A span that is under way."""

    name: str
    kind: Literal["internal", "server", "client"]
    trace_id: int
    span_id: int
    parent_id: int
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str | None = None
    links: list[tuple[int, int]] = field(default_factory=list)
    start: int = field(default_factory=time.time_ns)

    def note(self, attributes: dict[str, Value | None]) -> None:
        """Add attributes; None and empty text are left out."""
        self.attributes |= {name: value for name, value in attributes.items() if value not in (None, "")}

    def tell(self, end: int = 0) -> None:
        """Hand it over; nothing happens without an exporter."""
        sink = pipeline()
        if sink is None:
            return
        clean = {name: redact(value) if isinstance(value, str) else value for name, value in self.attributes.items()}
        sink.tell(
            SpanRecord(
                name=redact(self.name),
                kind=self.kind,
                trace_id=self.trace_id,
                span_id=self.span_id,
                parent_id=self.parent_id,
                start=self.start,
                end=max(end or time.time_ns(), self.start),
                attributes=clean,
                error=None if self.error is None else redact(self.error),
                links=tuple(self.links),
            )
        )


def _new(name: str, kind: Literal["internal", "server", "client"], *, parent: int = 0, span_id: int = 0) -> Span:
    """A span of the running task's trace, or of a trace of its own."""
    place = current()
    return Span(name, kind, place.trace_id or secrets.randbits(128), span_id or _drawn(), parent)


def _drawn() -> int:
    return secrets.randbits(64) or 1


@contextmanager
def _until_ended(span: Span) -> Iterator[Span]:
    try:
        yield span
    except BaseException as error:
        span.error = span.error or type(error).__name__
        raise
    finally:
        span.tell()


# -- activities ------------------------------------------------------------------------------------------------------


@contextmanager
def working_for(run: Run, step: str) -> Iterator[Correlation]:
    """Let log lines and calls below belong to the request's trace; calls hang below its attempt."""
    with correlated(
        request_id=run.request_id,
        application=run.application,
        instance_id=ids.instance_of(run),
        step=step,
        environment=run.environment or "",
        trace_id=ids.trace_of(run.request_id),
        span_id=ids.run_span(run.request_id, attempt=run.attempt, undo=run.undo),
    ) as place:
        yield place


@contextmanager
def step(run: Run, name: str, tries: int) -> Iterator[Span]:
    """The n-th try of a step, below its branch; calls hang below it, whether or not it lives to be told."""
    span = _new(name, "internal", parent=ids.branch_span(run), span_id=ids.step_span(run, name, tries))
    span.note(_about(run, name) | {"appstore.step.try": tries})
    with correlated(span_id=span.span_id), _until_ended(span):
        yield span


@contextmanager
def look(run: Run, name: str) -> Iterator[Span]:
    """A reading activity, below the attempt; it may vanish in a crash, so calls do not hang below it."""
    span = _new(name, "internal", parent=current().span_id)
    span.note(_about(run, name))
    with _until_ended(span):
        yield span


def tell_interrupted(run: Run, name: str, tries: int, started_at: str) -> None:
    """A try whose process died: found by the next try, which tells of it."""
    span = _new(name, "internal", parent=ids.branch_span(run), span_id=ids.step_span(run, name, tries))
    span.start, span.error = nanoseconds(started_at), "interrupted"
    span.note(_about(run, name) | {"appstore.step.try": tries, "appstore.outcome": "interrupted"})
    span.tell()


def tell_kept(run: Run, name: str) -> None:
    """A step that was answered from the register: nothing was done again."""
    span = _new(name, "internal", parent=ids.branch_span(run))
    span.note(_about(run, name) | {"appstore.outcome": "kept"})
    span.tell()


def _about(run: Run, name: str) -> dict[str, Value | None]:
    return {
        "appstore.request.id": run.request_id,
        "appstore.application": run.application,
        "appstore.instance.id": ids.instance_of(run),
        "appstore.step": name,
        "appstore.branch": run.branch,
        "appstore.environment": run.environment,
        "appstore.attempt": run.attempt,
    }


# -- vendors ---------------------------------------------------------------------------------------------------------


@dataclass
class VendorSpan:
    """One try of a call to a vendor: its span and its metrics."""

    span: Span
    system: str
    labels: dict[str, str | int]

    @property
    def traceparent(self) -> dict[str, str]:
        """The header that lets the vendor's own spans join; none without an exporter."""
        return {} if pipeline() is None else {"traceparent": ids.traceparent(self.span.trace_id, self.span.span_id)}

    def answered(self, status: int, vendor_request_id: str | None = None) -> None:
        """An answer came, welcome or not."""
        self.labels["http.response.status_code"] = status
        self.span.note({"http.response.status_code": status, "appstore.vendor.request.id": vendor_request_id})

    def failed(self, error: BaseException) -> None:
        """No answer came, or none that is a success."""
        kind = error.code if isinstance(error, IntegrationError) else type(error).__name__
        self.labels["error.type"] = self.span.error = kind
        self.span.note({"error.type": kind})
        if isinstance(error, IntegrationError) and _throttled(error):
            measure("appstore.vendor.throttled", 1, {"appstore.system": self.system})


@contextmanager
def vendor_call(
    system: str, operation: str, *, method: str = "", host: str = "", tries: int = 1
) -> Iterator[VendorSpan]:
    """One try of a call; what it raises is counted."""
    place = current()
    span = _new(f"{system}: {operation}", "client", parent=place.span_id)
    span.note(
        {
            "appstore.system": system,
            "appstore.operation": operation,
            "appstore.method": method,  # Application Insights names a span with http.request.method by its URL
            "server.address": host,
            "http.request.resend_count": tries - 1,
            "appstore.request.id": place.request_id,
            "appstore.step": place.step,
            "appstore.environment": place.environment,
        }
    )
    labels: dict[str, str | int] = {"appstore.system": system, "appstore.operation": operation}
    if method:
        labels["http.request.method"] = method
    call = VendorSpan(span, system, labels)
    try:
        yield call
    except BaseException as error:
        call.failed(error)
        raise
    finally:
        span.tell()
        measure("http.client.request.duration", (time.time_ns() - span.start) / 1e9, call.labels)


def _throttled(error: IntegrationError) -> bool:
    """Whether there were too many calls; GitHub says so by 403 with a time to wait, too."""
    status = error.call.status_code
    return status == _TOO_MANY or (status == _FORBIDDEN and isinstance(error, TransientIntegrationError))


# -- HTTP ------------------------------------------------------------------------------------------------------------


@contextmanager
def http_call(name: str, method: str, route: str, traceparent: str) -> Iterator[Span]:
    """A call of the app's API. The caller's trace is a link: nobody chooses the trace of a request."""
    span = _new(f"{method} {route}", "server")
    caller = ids.parse_traceparent(traceparent)
    span.links += [caller] if caller else []
    host = trace.get_current_span().get_span_context()  # of the Functions host, in its OpenTelemetry mode
    if host.is_valid and (host.trace_id, host.span_id) not in span.links:
        span.links.append((host.trace_id, host.span_id))
    span.note({"http.request.method": method, "http.route": route, "faas.name": name})
    with correlated(trace_id=span.trace_id, span_id=span.span_id), _until_ended(span):
        yield span


@contextmanager
def about_request(span: Span, request_id: str) -> Iterator[None]:
    """The HTTP call is about this request: it belongs to the request's trace."""
    span.trace_id, span.parent_id = ids.trace_of(request_id), ids.root_of(request_id)
    span.note({"appstore.request.id": request_id})
    with correlated(request_id=request_id, trace_id=span.trace_id, span_id=span.span_id):
        yield


@contextmanager
def carried(request_id: str) -> Iterator[None]:
    """Hand the request's trace to the Durable extension with a start: its own spans then join the trace."""
    if pipeline() is None:
        yield
        return
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    place = trace.SpanContext(ids.trace_of(request_id), ids.root_of(request_id), is_remote=False, trace_flags=flags)
    token = otel_context.attach(trace.set_span_in_context(trace.NonRecordingSpan(place)))
    try:
        yield
    finally:
        otel_context.detach(token)


def nanoseconds(moment: str) -> int:
    """An ISO time of a row in nanoseconds since the epoch."""
    return round(datetime.fromisoformat(moment).timestamp() * 1_000_000) * 1000
