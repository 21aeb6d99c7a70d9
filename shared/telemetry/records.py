"""What is told: plain values, made in microseconds, turned into OpenTelemetry's objects elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

type Attributes = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class SpanRecord:
    """A span that has ended.

    Attributes:
        start, end: nanoseconds since the epoch.
        error: short reason; None when it went well.
        links: trace and span of causes outside of the trace.
    """

    name: str
    kind: Literal["internal", "server", "client"]
    trace_id: int
    span_id: int
    parent_id: int
    start: int
    end: int
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None
    links: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class LogRecord:
    """A log line, redacted already; ``level`` is Python's."""

    at: int
    level: int
    text: str
    attributes: Attributes
    trace_id: int
    span_id: int


@dataclass(frozen=True)
class Measurement:
    """A value of one of the instruments of ``shared/telemetry/instruments.py``."""

    name: str
    value: float
    attributes: Attributes


type Told = SpanRecord | LogRecord | Measurement
