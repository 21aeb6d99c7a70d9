"""The instruments of ``instruments.py`` as the SDK's."""

import time
from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from shared.telemetry.instruments import INSTRUMENTS
from shared.telemetry.records import Measurement
from shared.telemetry.sinks import Losses

FRESH_SECONDS = 180.0
_LOST = "appstore.telemetry.lost"


class Levels:
    """The last values of gauges, forgotten when they are old."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[tuple[str, object], ...], tuple[float, float]]] = {}

    def keep(self, measurement: Measurement) -> None:
        """Remember a value."""
        key = tuple(sorted(measurement.attributes.items()))
        values = self._values.get(measurement.name, {})
        self._values[measurement.name] = values | {key: (measurement.value, time.monotonic())}

    def fresh(self, name: str) -> list[tuple[float, dict[str, object]]]:
        """The values that were measured lately, with their labels."""
        oldest = time.monotonic() - FRESH_SECONDS
        return [(value, dict(key)) for key, (value, at) in self._values.get(name, {}).items() if at > oldest]


def recorders(meter: Meter, levels: Levels, losses: Losses) -> dict[str, Callable[[Measurement], None]]:
    """How a measurement of each name is recorded."""
    return {name: _instrument(meter, name, levels, losses) for name in INSTRUMENTS}


def _instrument(meter: Meter, name: str, levels: Levels, losses: Losses) -> Callable[[Measurement], None]:
    about = INSTRUMENTS[name]
    if name == _LOST:
        meter.create_observable_counter(name, [lambda _: _lost(losses)], about.unit, about.description)
        return lambda told: losses.add("metrics", told.name)
    if about.kind == "gauge":
        meter.create_observable_gauge(
            name, [lambda options: _fresh(levels, name, options)], about.unit, about.description
        )
        return levels.keep
    if about.kind == "counter":
        counter = meter.create_counter(name, about.unit, about.description)
        return lambda told: counter.add(told.value, told.attributes)
    histogram = meter.create_histogram(
        name, about.unit, about.description, explicit_bucket_boundaries_advisory=about.buckets
    )
    return lambda told: histogram.record(told.value, told.attributes)


def _fresh(levels: Levels, name: str, _options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(value, labels) for value, labels in levels.fresh(name)]  # type: ignore[arg-type] # plain values


def _lost(losses: Losses) -> Iterable[Observation]:
    return [
        Observation(number, {"appstore.signal": signal, "error.type": reason})
        for (signal, reason), number in losses.counts().items()
    ]
