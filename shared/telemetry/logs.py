"""Structured logs: the request's ids on every line of the app, as JSON or to the exporter, or both."""

import json
import logging
import sys
from datetime import UTC, datetime
from functools import cache
from typing import Any

from shared.correlation import current
from shared.log import LOGGER, redact
from shared.telemetry.pipeline import pipeline
from shared.telemetry.records import LogRecord
from shared.telemetry.settings import telemetry_settings

_NANO = 1_000_000_000


class CorrelatingHandler(logging.Handler):
    """Writes the app's lines as JSON when that is set, and tells them to the exporter when there is one.

    It hangs at the app's logger, whose filter has redacted message and traceback before.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: logging reports to standard error instead."""
        try:
            if _as_json():
                sys.stderr.write(f"{json.dumps(document(record), ensure_ascii=False)}\n")
            sink = pipeline()
            if sink is not None:
                sink.tell(_told(record))
        except Exception:  # noqa: BLE001 - a log line must not end a request
            self.handleError(record)


def document(record: logging.LogRecord) -> dict[str, Any]:
    """The line as JSON: what happened, and for whom."""
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
    return line | _ids() | ({"exception": record.exc_text} if record.exc_text else {})


def _ids() -> dict[str, str]:
    place = current()
    found = {
        "requestId": place.request_id,
        "application": place.application,
        "instanceId": place.instance_id,
        "step": place.step,
        "environment": place.environment,
        "traceId": f"{place.trace_id:032x}" if place.trace_id else "",
        "spanId": f"{place.span_id:016x}" if place.trace_id else "",
    }
    return {name: redact(value) for name, value in found.items() if value}


def _told(record: logging.LogRecord) -> LogRecord:
    place = current()
    ids = {name: value for name, value in _ids().items() if name not in ("traceId", "spanId")}
    attributes = {"logger.name": record.name} | {f"appstore.{name}": value for name, value in ids.items()}
    if record.exc_text:
        attributes["exception.stacktrace"] = record.exc_text
    at = int(record.created * _NANO)
    return LogRecord(at, record.levelno, record.getMessage(), attributes, place.trace_id, place.span_id)


@cache
def _as_json() -> bool:
    settings, _problem = telemetry_settings()
    wanted = settings.appstore_log_format == "json"
    # A line is written once: not by the worker's own handler as well.
    LOGGER.propagate = not wanted
    return wanted


def install() -> None:
    """Attach the handler to the app's logger, once."""
    if not any(isinstance(handler, CorrelatingHandler) for handler in LOGGER.handlers):
        LOGGER.addHandler(CorrelatingHandler())
