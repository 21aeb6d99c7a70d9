"""Ids of traces and spans, derived like all others: whoever works for a request, at any time, adds to one trace.

A span that others hang below has a derived id, so that they find it without having been told: after a crash, in another
process, weeks later.
"""

import hashlib
import re

from shared.instance_ids import onboard_instance, undo_instance
from shared.models.runs import Run

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def trace_of(request_id: str) -> int:
    """The trace of a request."""
    return _number(16, "trace", request_id)


def root_of(request_id: str) -> int:
    """The first span of a request's trace: its first attempt."""
    return run_span(request_id, attempt=1, undo=False)


def run_span(request_id: str, *, attempt: int, undo: bool) -> int:
    """The span of one attempt to onboard or to undo."""
    return _number(8, "run", request_id, "undo" if undo else "onboard", str(attempt))


def branch_span(run: Run) -> int:
    """The span of a branch of an attempt: what a sub-orchestration does."""
    return _number(8, "branch", _instance(run), run.branch, run.environment or "")


def step_span(run: Run, name: str, tries: int) -> int:
    """The span of the n-th try of a step."""
    return _number(8, "step", _instance(run), run.branch, run.environment or "", name, str(tries))


def approval_span(request_id: str, attempt: int) -> int:
    """The span of the wait for an approval."""
    return _number(8, "approval", request_id, str(attempt))


def instance_of(run: Run) -> str:
    """The orchestration instance that an activity works for."""
    return _instance(run)


def traceparent(trace_id: int, span_id: int, *, sampled: bool = True) -> str:
    """Header of W3C Trace Context (https://www.w3.org/TR/trace-context/)."""
    return f"00-{trace_id:032x}-{span_id:016x}-{sampled:02x}"


def parse_traceparent(text: str) -> tuple[int, int] | None:
    """Trace and span of a caller's header; None when it is not one."""
    found = _TRACEPARENT.fullmatch(text.strip())
    if not found:
        return None
    trace_id, span_id = int(found[1], 16), int(found[2], 16)
    return (trace_id, span_id) if trace_id and span_id else None


def _instance(run: Run) -> str:
    return (undo_instance if run.undo else onboard_instance)(run.request_id, run.attempt)


def _number(size: int, *parts: str) -> int:
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    return int.from_bytes(digest[:size]) or 1  # zero means none
