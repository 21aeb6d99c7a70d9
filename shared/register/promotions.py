"""Promotions, and the one way in which their state changes."""

from collections.abc import AsyncIterator, Callable, Sequence

from shared.models.promotions import TRANSITIONS, PromotionRecord, PromotionState
from shared.register import audit
from shared.register._records import (
    change_record,
    create_record,
    find_record,
    get_record,
    records_in_states,
    records_of,
)
from shared.register._table import Row, Write


def promotion_key(promotion_id: str) -> str:
    """Row key of a promotion."""
    return f"promotion:{promotion_id}"


async def find(application: str, promotion_id: str) -> PromotionRecord | None:
    """The promotion, or None."""
    return await find_record(PromotionRecord, application, promotion_key(promotion_id))


async def get(application: str, promotion_id: str) -> PromotionRecord:
    """The promotion, which must exist."""
    return await get_record(PromotionRecord, application, promotion_key(promotion_id))


async def of_application(application: str) -> list[PromotionRecord]:
    """The promotions of an application, newest first."""
    return await records_of(PromotionRecord, application, promotion_key(""))


def in_states(states: Sequence[PromotionState]) -> AsyncIterator[PromotionRecord]:
    """The promotions of all applications that are in one of the states."""
    return records_in_states(PromotionRecord, "promotion", states)


async def create(record: PromotionRecord, entry: audit.Entry) -> PromotionRecord:
    """Record a new promotion with its audit entry; a repeat returns what is there, whatever it asks for."""
    return await create_record(record.application, promotion_key(record.id), record, entry)


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
