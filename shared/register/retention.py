"""Rows that nobody needs any more: what is settled, and was not written for longer than it shall be kept.

Never what is open, and never an audit trail. A row that is written meanwhile stays.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import batched

from shared.models.events import EventState
from shared.models.operations import TRANSITIONS
from shared.register import commands, events
from shared.register._table import Row, RowConflictError, Write, commit, query, scan

_ROUND = 1000  # rows that are looked up at once
_ROWS = 100  # of a transaction
_SETTLED = (EventState.HANDED_OVER, EventState.IGNORED, EventState.DISCARDED, EventState.DEAD)
_FINAL = tuple(state for state, following in TRANSITIONS.items() if not following)


async def remove_events(before: datetime, rounds: int) -> int:
    """Remove events that were handed over, ignored, discarded, or are dead letters; returns how many."""
    condition = f"PartitionKey eq '{events.PARTITION}' and kind eq 'event' and {_in(_SETTLED)}"
    return await _remove(condition, before, rounds)


async def remove_rejected_commands(before: datetime, rounds: int) -> int:
    """Remove the reasons of rejected commands and what was decided about dead letters; the audit trail keeps both."""
    kinds = "(kind eq 'rejected-command' or kind eq 'dead-letter')"
    condition = f"PartitionKey eq '{commands.PARTITION}' and {kinds}"
    return await _remove(condition, before, rounds)


async def remove_operations(before: datetime, rounds: int) -> int:
    """Remove operations that can never go on, with their actions and steps; returns how many.

    The operation itself goes last: whoever dies before leaves it to be found by the next run.
    """
    condition = f"kind eq 'operation' and {_in(_FINAL)}"
    removed = 0
    for row in await _oldest(condition, before, _ROUND * rounds):
        identifier = str(row.document["id"])
        for prefix in (f"action:{identifier}:", f"step:{identifier}:"):
            await _remove_rows([found async for found in scan(row.partition, prefix)])
        removed += await _remove_rows([row])
    return removed


async def _remove(condition: str, before: datetime, rounds: int) -> int:
    removed = 0
    for _ in range(rounds):
        found = await _oldest(condition, before, _ROUND)
        removed += await _remove_rows(found)
        if len(found) < _ROUND:
            break
    return removed


async def _oldest(condition: str, before: datetime, most: int) -> list[Row]:
    """Rows that were not written since; the storage service itself keeps when that was."""
    moment = before.strftime("%Y-%m-%dT%H:%M:%SZ")
    found: list[Row] = []
    async for row in query(f"{condition} and Timestamp lt datetime'{moment}'"):
        found.append(row)
        if len(found) == most:
            break
    return found


async def _remove_rows(rows: Sequence[Row]) -> int:
    """Remove rows of one partition unless they were written meanwhile; returns how many are gone."""
    removed = 0
    for part in batched(rows, _ROWS, strict=False):
        try:
            removed += await _commit(part)
        except RowConflictError:
            for row in part:
                with suppress(RowConflictError):
                    removed += await _commit([row])
    return removed


async def _commit(rows: Sequence[Row]) -> int:
    await commit(rows[0].partition, [Write(row.key, None, etag=row.etag) for row in rows])
    return len(rows)


def _in(states: Iterable[str]) -> str:
    return "(" + " or ".join(f"state eq '{state}'" for state in states) + ")"
