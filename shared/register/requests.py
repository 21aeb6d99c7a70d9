"""Requests, their decisions, and the one way their state changes."""

from collections.abc import AsyncIterator, Callable, Sequence

from pydantic import ValidationError

from shared.errors import StateConflictError
from shared.log import LOGGER
from shared.models.records import TRANSITIONS, ApplicationRecord, DecisionRecord, RequestRecord, RequestState
from shared.register import _records, audit, run_ends
from shared.register._records import TRIES, busy, change_record, step_back
from shared.register._table import Row, RowConflictError, Write, commit, document_of, query, read, read_many, scan

APPLICATION = _records.APPLICATION


def request_key(request_id: str) -> str:
    """Row key of a request."""
    return f"request:{request_id}"


async def find(application: str, request_id: str) -> RequestRecord | None:
    """The request, or None."""
    row = await read(application, request_key(request_id))
    return RequestRecord.model_validate(row.document) if row else None


async def get(application: str, request_id: str) -> RequestRecord:
    """The request, which must exist."""
    record = await find(application, request_id)
    if record is None:
        raise StateConflictError("unknown", f"request {request_id} of {application} is not in the register")
    return record


async def in_states(states: Sequence[RequestState]) -> AsyncIterator[RequestRecord]:
    """Requests of all applications that are in one of the states."""
    wanted = " or ".join(f"state eq '{state}'" for state in states)
    async for row in query(f"kind eq 'request' and ({wanted})"):
        if record := _readable(row):
            yield record


async def every() -> AsyncIterator[RequestRecord]:
    """Requests of all applications."""
    async for row in query("kind eq 'request'"):
        if record := _readable(row):
            yield record


def _readable(row: Row) -> RequestRecord | None:
    """The row's request; one that cannot be read is named in the log and does not hide the others."""
    try:
        return RequestRecord.model_validate(row.document)
    except ValidationError:
        LOGGER.exception("the row %s is not readable", row.key)
        return None


async def decisions(application: str, request_id: str) -> list[DecisionRecord]:
    """What was decided about a request, oldest first."""
    rows = [row async for row in scan(application, f"decision:{request_id}:")]
    return sorted((DecisionRecord.model_validate(row.document) for row in rows), key=lambda item: item.decided_at)


async def applications() -> AsyncIterator[ApplicationRecord]:
    """Every application: reserved or existing."""
    async for row in query(f"kind eq '{APPLICATION}'"):
        try:
            yield ApplicationRecord.model_validate(row.document)
        except ValidationError:
            LOGGER.exception("the row %s of %s is not readable", row.key, row.partition)


async def application(name: str) -> ApplicationRecord | None:
    """One application, or None when the name is free."""
    row = await read(name, APPLICATION)
    return ApplicationRecord.model_validate(row.document) if row else None


async def create(
    record: RequestRecord, reservation: ApplicationRecord, entry: audit.Entry, extra: Sequence[Write] = ()
) -> RequestRecord:
    """Record a new request, reserve its name and write further rows, all or nothing; a repeat returns what is there.

    Raises:
        StateConflictError: the name belongs to another request or application.
    """
    key = request_key(record.id)
    for tries in range(TRIES):
        await step_back(tries)
        rows = await read_many(record.application, [key, APPLICATION, audit.HEAD])
        if key in rows:
            return RequestRecord.model_validate(rows[key].document)
        if APPLICATION in rows:
            raise StateConflictError("taken", f"the name {record.application} is taken")
        writes = [
            Write(key, document_of(record)),
            Write(APPLICATION, document_of(reservation)),
            *audit.append(rows.get(audit.HEAD), entry),
            *extra,
        ]
        try:
            await commit(record.application, writes)
        except RowConflictError:
            continue
        return record
    raise busy(record.application)


async def transition(
    application_name: str,
    request_id: str,
    change: Callable[[RequestRecord], RequestRecord],
    entry: audit.Entry,
    *,
    expect: Sequence[RequestState],
    extra: Callable[[RequestRecord, dict[str, Row]], Sequence[Write]] | None = None,
) -> RequestRecord:
    """Change a request's state together with its audit entry and further rows of the application.

    The same entry id twice is one transition: the repeat returns the request as it is now.

    Raises:
        StateConflictError: the request is in none of the expected states (somebody else was faster).
    """
    return await change_record(
        RequestRecord,
        application_name,
        request_key(request_id),
        change,
        entry,
        expect=expect,
        declared=TRANSITIONS,
        extra=extra,
        after=run_ends.tell_change,
    )


def decision_write(record: DecisionRecord) -> Write:
    """The write of an immutable decision: a second one with the same key fails the transaction."""
    key = f"decision:{record.request_id}:{record.decided_at}:{record.decision}:{record.actor}"
    return Write(key, document_of(record))
