"""What every part of the sweep has in common: how old is left alone, and that one failure does not stop the others."""

from collections.abc import Awaitable
from datetime import UTC, datetime

from shared.log import LOGGER

ORPHAN_SECONDS = 20
HINT_SECONDS = 3600
ENDED = frozenset({"Completed", "Failed", "Terminated", "Canceled"})


async def apart(identifier: str, work: Awaitable[object]) -> bool:
    """One that cannot be looked after does not keep the others from it; returns whether it was looked after."""
    try:
        await work
    except Exception:  # noqa: BLE001 - whatever it is, the next minute tries again
        LOGGER.exception("the sweep could not look after %s", identifier)
        return False
    return True


def older(moment: str, seconds: float) -> bool:
    """Whether a moment (ISO 8601) is longer ago than so many seconds."""
    return age(moment) > seconds


def age(moment: str) -> float:
    """Seconds since a moment (ISO 8601)."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
