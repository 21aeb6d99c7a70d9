"""What the app counts and times, told to whichever exporter is set."""

from collections.abc import Mapping

from shared.log import redact
from shared.telemetry.instruments import INSTRUMENTS
from shared.telemetry.pipeline import pipeline
from shared.telemetry.records import Measurement


def measure(name: str, value: float, labels: Mapping[str, str | int] | None = None) -> None:
    """Add a value to an instrument; free when no exporter is set.

    Raises:
        KeyError: a label that the instrument does not have.
    """
    sink = pipeline()
    if sink is None:
        return
    given = {key: redact(value) if isinstance(value, str) else value for key, value in (labels or {}).items()}
    if unknown := set(given) - set(INSTRUMENTS[name].labels):
        raise KeyError(f"{name} has no label {', '.join(sorted(unknown))}")
    sink.tell(Measurement(name, value, given))
