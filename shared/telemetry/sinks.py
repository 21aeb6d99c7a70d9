"""What takes records, and how many it lost."""

import threading
from collections import Counter
from typing import Protocol

from shared.telemetry.records import LogRecord, Measurement, SpanRecord, Told

QUEUE = 2048


class Sink(Protocol):
    """Something that exports."""

    def tell(self, told: Told) -> None:
        """Take a record without waiting."""

    def close(self, seconds: float) -> None:
        """Export what is queued, within the time."""


class Losses:
    """How many records were not exported, by signal and reason."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, signal: str, reason: str, number: int = 1) -> None:
        """Count lost records."""
        with self._lock:
            self._counts[signal, reason] += number

    def counts(self) -> dict[tuple[str, str], int]:
        """All counts so far."""
        with self._lock:
            return dict(self._counts)


class Nowhere:
    """Counts what a broken configuration loses."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses

    def tell(self, told: Told) -> None:
        """Count it as lost."""
        self._losses.add(signal_of(told), "not_configured")

    def close(self, seconds: float) -> None:
        """Nothing to do."""


def signal_of(told: Told) -> str:
    """Name of the signal that a record belongs to."""
    return {SpanRecord: "traces", LogRecord: "logs", Measurement: "metrics"}[type(told)]
