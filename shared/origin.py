"""For whom the present piece of work is done: persons who wait come before sweeps, events and timers."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum


class Origin(StrEnum):
    """What made the work start."""

    PERSON = "person"
    SWEEP = "sweep"


_ORIGIN: ContextVar[Origin] = ContextVar("origin", default=Origin.SWEEP)


def for_a_person() -> bool:
    """Whether a person waits for what is being done; not unless it was said."""
    return _ORIGIN.get() is Origin.PERSON


@contextmanager
def working_for(origin: Origin) -> Iterator[None]:
    """Say for whom everything inside is done."""
    token = _ORIGIN.set(origin)
    try:
        yield
    finally:
        _ORIGIN.reset(token)
