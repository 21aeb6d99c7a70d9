"""Promotions, and the one way in which their state changes."""

from collections.abc import AsyncIterator, Callable, Sequence

from pydantic import ValidationError

from shared.errors import StateConflictError
from shared.log import LOGGER
from shared.models.promotions import TRANSITIONS, PromotionRecord, PromotionState
from shared.register import audit
from shared.register._records import TRIES, busy, change_record, step_back
from shared.register._table import Row, RowConflictError, Write, commit, document_of, query, read, read_many, scan


def promotion_key(promotion_id: str) -> str:
    """Row key of a promotion."""
    return f"promotion:{promotion_id}"


async def find(application: str, promotion_id: str) -> PromotionRecord | None:
    """The promotion, or None."""
    row = await read(application, promotion_key(promotion_id))
    return PromotionRecord.model_validate(row.document) if row else None


async def get(application: str, promotion_id: str) -> PromotionRecord:
    """The promotion, which must exist."""
    record = await find(application, promotion_id)
    if record is None:
        raise StateConflictError("unknown", f"promotion {promotion_id} of {application} is not in the register")
    return record


async def of_application(application: str) -> list[PromotionRecord]:
    """The promotions of an application, newest first."""
    rows = [PromotionRecord.model_validate(row.document) async for row in scan(application, "promotion:")]
    return sorted(rows, key=lambda record: (record.created_at, record.id), reverse=True)


async def in_states(states: Sequence[PromotionState]) -> AsyncIterator[PromotionRecord]:
    """Promotions of all applications that are in one of the states; one that cannot be read is named in the log."""
    wanted = " or ".join(f"state eq '{state}'" for state in states)
    async for row in query(f"kind eq 'promotion' and ({wanted})"):
        if record := _readable(row):
            yield record


def _readable(row: Row) -> PromotionRecord | None:
    try:
        return PromotionRecord.model_validate(row.document)
    except ValidationError:
        LOGGER.exception("the row %s is not readable", row.key)
        return None


async def create(record: PromotionRecord, entry: audit.Entry) -> PromotionRecord:
    """Record a new promotion with its audit entry; a repeat returns what is there, whatever it asks for."""
    key = promotion_key(record.id)
    for tries in range(TRIES):
        await step_back(tries)
        rows = await read_many(record.application, [key, audit.HEAD])
        if key in rows:
            return PromotionRecord.model_validate(rows[key].document)
        try:
            await commit(
                record.application,
                [Write(key, document_of(record)), *audit.append(rows.get(audit.HEAD), entry)],
            )
        except RowConflictError:
            continue
        return record
    raise busy(record.application)


async def transition(
    application: str,
    promotion_id: str,
    change: Callable[[PromotionRecord], PromotionRecord],
    entry: audit.Entry,
    *,
    expect: Sequence[PromotionState],
    extra: Callable[[PromotionRecord, dict[str, Row]], Sequence[Write]] | None = None,
) -> PromotionRecord:
    """Change a promotion's state together with its audit entry; raises as ``change_record``."""
    return await change_record(
        PromotionRecord,
        application,
        promotion_key(promotion_id),
        change,
        entry,
        expect=expect,
        declared=TRANSITIONS,
        extra=extra,
    )
