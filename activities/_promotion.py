"""How a promotion's state changes: with an audit entry, and with a message where somebody has to know."""

from collections.abc import Mapping

from shared import notices
from shared.models.promotions import PromotionRecord, PromotionState
from shared.models.records import RequestRecord
from shared.register import intents, promotions, requests
from shared.register._table import Write
from shared.register.audit import Entry
from shared.settings import AppStoreSettings, load

_S = PromotionState
_TOLD = (_S.AWAITING_APPROVAL, _S.PARKED, _S.DEGRADED, _S.REFUSED, _S.EXPIRED)  # somebody has to know


async def move(
    record: PromotionRecord, update: Mapping[str, object], entry: Entry, *, expect: tuple[PromotionState, ...]
) -> PromotionRecord:
    """Change a promotion together with its audit entry and with the message that tells of it."""
    request = await requests.find(record.application, record.request_id)
    return await promotions.transition(
        record.application,
        record.id,
        lambda old: old.model_copy(update=dict(update)),
        entry,
        expect=expect,
        extra=lambda new, _rows: _notice(new, request) if request else [],
    )


def _notice(record: PromotionRecord, request: RequestRecord) -> list[Write]:
    """The message that the promotion needs somebody; the sweep sends it."""
    if record.state not in _TOLD:
        return []
    base = f"{load(AppStoreSettings).public_url.rstrip('/')}/api"
    number = int(record.id.removeprefix("pro-")[:8], 16) * 100 + record.attempt
    message = notices.promotion(record, request, base)
    found = notices.due(request, message, number * len(_TOLD) + _TOLD.index(record.state), record.updated_at)
    return [intents.insertion(intent) for intent in found]
