"""What rows of requests, promotions and operations have in common: above all, the way in which their state changes."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from enum import StrEnum

from pydantic import ValidationError

from shared.clock import utc_now
from shared.errors import RequestRejectedError, StateConflictError, TransientIntegrationError, VendorCall
from shared.log import LOGGER
from shared.models import Model
from shared.register import audit
from shared.register._table import Row, RowConflictError, Write, commit, document_of, query, read, read_many, scan

TRIES = 50
_AT_ONCE, _LONGEST = 2, 20
APPLICATION = "application"


async def find_record[R: Model](kind: type[R], application: str, key: str) -> R | None:
    """The record under this row key, or None."""
    row = await read(application, key)
    return kind.model_validate(row.document) if row else None


async def get_record[R: Model](kind: type[R], application: str, key: str) -> R:
    """The record under this row key, which must exist."""
    record = await find_record(kind, application, key)
    if record is None:
        what = key.replace(":", " ")
        raise StateConflictError("unknown", f"{what} of {application} is not in the register")
    return record


async def records_of[R: Model](kind: type[R], application: str, prefix: str) -> list[R]:
    """The records of an application whose row key has this prefix, newest first."""
    found = [kind.model_validate(row.document) async for row in scan(application, prefix)]
    return sorted(found, key=lambda record: (record.created_at, record.id), reverse=True)  # type: ignore[attr-defined]


async def records_in_states[R: Model](kind: type[R], name: str, states: Sequence[StrEnum]) -> AsyncIterator[R]:
    """Records of all applications in one of the states; one that cannot be read is named in the log."""
    wanted = " or ".join(f"state eq '{state}'" for state in states)
    async for row in query(f"kind eq '{name}' and ({wanted})"):
        try:
            record = kind.model_validate(row.document)
        except ValidationError:
            LOGGER.exception("the row %s is not readable", row.key)
            continue
        yield record


async def create_record[R: Model](application: str, key: str, record: R, entry: audit.Entry) -> R:
    """Record something new with its audit entry; a repeat returns what is there, whatever it asks for.

    Raises:
        RequestRejectedError: 409, it was recorded before, and its row went after its time: the trail keeps it from
            being done a second time.
    """
    for tries in range(TRIES):
        await step_back(tries)
        rows = await read_many(application, [key, audit.HEAD, audit.entry_key(entry)])
        if key in rows:
            return type(record).model_validate(rows[key].document)
        if audit.entry_key(entry) in rows:
            name, _, identifier = key.partition(":")
            detail = f"This {name} ({identifier}) was settled long ago, and only its audit trail is left."
            raise RequestRejectedError("settled-before", f"{detail} Ask with another key.", status=409)
        try:
            await commit(application, [Write(key, document_of(record)), *audit.append(rows.get(audit.HEAD), entry)])
        except RowConflictError:
            continue
        return record
    raise busy(application)


async def change_record[S: StrEnum, R: Model](
    kind: type[R],
    application: str,
    key: str,
    change: Callable[[R], R],
    entry: audit.Entry,
    *,
    expect: Sequence[S],
    declared: Mapping[S, frozenset[S]],
    extra: Callable[[R, dict[str, Row]], Sequence[Write]] | None = None,
    after: Callable[[R, R], Awaitable[None]] | None = None,
) -> R:
    """Change a record's state together with its audit entry and further rows of the application.

    The same entry id twice is one transition: the repeat returns the record as it is now.

    Args:
        kind: model of the record; it has ``state`` and ``updated_at``.
        application: partition.
        key: row key of the record.
        change: makes the new record of the current one.
        entry: what the audit trail says about it.
        expect: states in which the change makes sense.
        declared: which state may follow which.
        extra: further writes, given the new record and the rows that were read.
        after: told the record before and after the change, once it is written.

    Raises:
        StateConflictError: the record is missing or in none of the expected states (somebody else was faster).
    """
    what = key.partition(":")[0]
    for tries in range(TRIES):
        await step_back(tries)
        rows = await read_many(application, [key, APPLICATION, audit.HEAD, audit.entry_key(entry)])
        if key not in rows:
            raise StateConflictError("unknown", f"{key.replace(':', ' ')} of {application} is not in the register")
        record = kind.model_validate(rows[key].document)
        if audit.entry_key(entry) in rows:
            return record
        before: S = record.state  # type: ignore[attr-defined]
        if before not in expect:
            raise StateConflictError(before, f"the {what} is {before.replace('_', ' ')}")
        new = change(record).model_copy(update={"updated_at": utc_now()})
        _check(before, new.state, declared)  # type: ignore[attr-defined]
        writes = [Write(key, document_of(new), etag=rows[key].etag), *audit.append(rows.get(audit.HEAD), entry)]
        writes += extra(new, rows) if extra else []
        try:
            await commit(application, writes)
        except RowConflictError:
            continue
        if after:
            await after(record, new)
        return new
    raise busy(application)


def _check[S: StrEnum](old: S, new: S, declared: Mapping[S, frozenset[S]]) -> None:
    if new not in declared[old] and new is not old:
        raise AssertionError(f"{old} -> {new} is not a declared transition")


async def step_back(tries: int) -> None:
    """Let others write first, for a random moment: fifty writers of one row would fail again and again."""
    if tries > _AT_ONCE:
        await asyncio.sleep(random.uniform(0, min(tries, _LONGEST)) * 0.01)  # noqa: S311 - no secret


def busy(partition: str) -> TransientIntegrationError:
    """So many others wrote at the same time that nobody got through."""
    return TransientIntegrationError(
        VendorCall("table storage", "transaction", 412), f"{partition} is written too often"
    )
