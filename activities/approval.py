"""The decision about a plan: escalated when nobody decides, replaced for a time when the glass is broken."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from activities._activity import look
from activities._transition import advance, entry_of
from shared import notices
from shared.clock import utc_now
from shared.decisions import open_needs
from shared.errors import StateConflictError
from shared.models.approval import PlanDecision
from shared.models.messages import MessageKind
from shared.models.records import RequestRecord, RequestState
from shared.models.runs import ActivityInput, Nothing
from shared.register import intents, requests
from shared.register._table import Write
from shared.register.audit import Entry
from shared.settings import AppStoreSettings, load

_S = RequestState


@look
async def escalate_request(data: PlanDecision) -> Nothing:
    """Let those decide as well to whom the rules escalate; what they have said already counts from now on.

    Idempotency: one transition per plan; a decision that came first wins.
    """
    now = utc_now()

    def change(old: RequestRecord) -> RequestRecord:
        if old.plan is None or old.plan.digest != data.digest:
            raise StateConflictError(old.state, "there is another plan now")
        wider = old.model_copy(update={"escalated_at": now})
        if open_needs(wider):
            return wider
        return wider.model_copy(update={"state": _S.PROVISIONING, "approved_digest": data.digest})

    asked_at = (await requests.get(data.run.application, data.run.request_id)).asked_at
    key = f"{data.digest[:12]}:{asked_at}"
    entry = entry_of(data, "escalate", "three quarters of the time are over", at=now, key=key)
    try:
        record = await advance(data, change, entry, [_S.AWAITING_APPROVAL])
    except StateConflictError as error:
        return Nothing(detail=f"not escalated: {error}")
    return Nothing(detail=f"escalated: the request is {record.state}")


@look
async def use_break_glass(data: ActivityInput) -> Nothing:
    """Go on by the grant while it holds; afterwards the plan needs its approvals again, and the channel is told so.

    Idempotency: one transition per attempt and grant.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    grant, now = record.break_glass, datetime.now(UTC)
    if grant is None or record.state is not _S.PROVISIONING:
        return Nothing(detail="no grant")
    key = f"{data.run.attempt}:{grant.granted_at}"
    if now < datetime.fromisoformat(grant.expires_at):
        entry = entry_of(data, "use_break_glass", f"by the grant until {grant.expires_at}", at=_text(now), key=key)
        return await _go(data, {}, entry, lambda _record: [])
    end = now + timedelta(hours=load(AppStoreSettings).approval_hours)
    back = {
        "state": _S.AWAITING_APPROVAL,
        "approved_digest": None,
        "break_glass": None,
        "asked_at": _text(now),
        "decide_before": _text(end),
        "escalated_at": None,
    }
    entry = entry_of(data, "end_break_glass", f"the grant ended at {grant.expires_at}", at=_text(now), key=key)
    return await _go(data, back, entry, lambda waiting: _asking(waiting, now))


def _asking(record: RequestRecord, now: datetime) -> list[Write]:
    """The notice that the plan waits again, written together with it: those who have to decide must hear of it."""
    base = f"{load(AppStoreSettings).public_url.rstrip('/')}/api"
    message = notices.notice(MessageKind.GRANT_ENDED, record, base=base, attempt=record.attempt)
    return [intents.insertion(intent) for intent in notices.due(record, message, int(now.timestamp()), _text(now))]


async def _go(
    data: ActivityInput,
    update: Mapping[str, object],
    entry: Entry,
    tell: Callable[[RequestRecord], list[Write]],
) -> Nothing:
    try:
        await advance(
            data,
            lambda old: old.model_copy(update=update),
            entry,
            [_S.PROVISIONING],
            lambda new, _rows: tell(new),
        )
    except StateConflictError as error:
        return Nothing(detail=f"decided otherwise meanwhile: {error}")
    return Nothing(detail=entry.action)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
