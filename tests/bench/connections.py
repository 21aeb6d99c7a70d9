"""Connections of an event loop that a benchmark makes: a running app keeps its own."""

from collections.abc import Awaitable

from shared.clients._http import _client
from shared.credential import credential
from shared.register._table import _ready


async def closed[T](work: Awaitable[T]) -> T:
    """Do the work, and close what it has opened."""
    try:
        return await work
    finally:
        await _client().aclose()
        for table in _ready():
            await table.close()
        await credential().close()
