"""What this task works for: read by log lines and by every span and call below it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Correlation:
    """The request, and the place in its trace.

    Attributes:
        instance_id: orchestration instance of the attempt.
        step: activity that runs.
        trace_id: 128-bit number; 0: no trace.
        span_id: 64-bit number, the parent of what begins now.
    """

    request_id: str = ""
    application: str = ""
    instance_id: str = ""
    step: str = ""
    environment: str = ""
    trace_id: int = 0
    span_id: int = 0


_NOTHING = Correlation()
_CURRENT: ContextVar[Correlation] = ContextVar("correlation", default=_NOTHING)


def current() -> Correlation:
    """What the running task works for."""
    return _CURRENT.get()


@contextmanager
def correlated(**changes: Any) -> Iterator[Correlation]:
    """Work for something else until the end of the block; fields that are not named stay."""
    token = _CURRENT.set(replace(_CURRENT.get(), **changes))
    try:
        yield _CURRENT.get()
    finally:
        _CURRENT.reset(token)
