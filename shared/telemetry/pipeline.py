"""The way out: told in microseconds, carried by a thread, lost rather than waited for.

The SDK takes up to a second to load. A thread does that; what is told meanwhile waits in a bounded queue. A receiver
that is down fills the queue, then records are dropped and counted. No request ever waits for telemetry.
"""

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import cache

from shared.telemetry.records import Told
from shared.telemetry.settings import telemetry_settings
from shared.telemetry.sinks import QUEUE, Losses, Nowhere, Sink, signal_of

GRACE_SECONDS = 2.0
_log = logging.getLogger("telemetry")  # not the app's logger, whose lines come by here


class Pipeline:
    """Takes records at once, hands them to the sink when that is loaded."""

    def __init__(self, build: Callable[[Losses], Sink]) -> None:
        self.losses = Losses()
        self._build = build
        self._early: deque[Told] = deque()
        self._sink: Sink | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._loader = threading.Thread(target=self._load, name="telemetry", daemon=True)
        self._loader.start()

    def tell(self, told: Told) -> None:
        """Take a record; never waits, never raises."""
        with self._lock:
            sink = self._sink
            if sink is None:
                if len(self._early) < QUEUE:
                    self._early.append(told)
                else:
                    self.losses.add(signal_of(told), "queue_full")
                return
        self._hand_over(sink, told)

    def close(self, seconds: float = GRACE_SECONDS) -> None:
        """Export what is queued, within the time; more is not promised to a process that ends."""
        if self._closed:
            return
        self._closed = True
        self._loader.join(seconds)
        if self._sink is not None:
            closing = threading.Thread(target=self._sink.close, args=(seconds,), daemon=True)
            closing.start()
            closing.join(seconds)

    def _load(self) -> None:
        try:
            sink = self._build(self.losses)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with telemetry, the app goes on without
            _log.warning("telemetry is off: %s", type(error).__name__)
            sink = Nowhere(self.losses)
        with self._lock:
            early, self._early, self._sink = self._early, deque(), sink
        for told in early:
            self._hand_over(sink, told)

    def _hand_over(self, sink: Sink, told: Told) -> None:
        try:
            sink.tell(told)
        except Exception as error:  # noqa: BLE001 - as above
            self.losses.add(signal_of(told), type(error).__name__)


@cache
def pipeline() -> Pipeline | None:
    """The process's way out, made at the first record; None without an exporter."""
    settings, problem = telemetry_settings()
    if problem:
        _log.warning("telemetry is off: %s", problem)
    if settings.otel_sdk_disabled or settings.appstore_telemetry_exporter == "none":
        return None

    def build(losses: Losses) -> Sink:
        from shared.telemetry.sdk import sink_of  # noqa: PLC0415 - heavy, and loaded by the thread

        return sink_of(settings, losses)

    made = Pipeline(build)
    atexit.register(made.close)
    return made
