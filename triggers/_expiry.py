"""Looking after the ends of applications: telling in time, marking what has ended. Nothing is ever removed here."""

from datetime import date

from shared import lifecycle, notices
from shared.clock import utc_now
from shared.log import LOGGER
from shared.models.messages import IntentRecord, Message, MessageState
from shared.models.records import ApplicationRecord, RequestRecord
from shared.register import applications, intents, requests
from shared.register._table import Write
from shared.register.audit import Entry
from triggers._views import base

_LIVING = ("active", "expired")
_ENDED = 99  # in place of the days before the end


def end_of(application: ApplicationRecord, request: RequestRecord) -> date | None:
    """The application's last day, or None; rows of before the renewals have it in their request only."""
    if application.expires_on:
        return date.fromisoformat(application.expires_on)
    return request.body.expires_on


async def look_after_all(today: date) -> int:
    """Look after every application; one that cannot be looked after does not keep the others from it.

    Returns:
        How many could not be: tomorrow tries again.
    """
    asked = {record.id: record async for record in requests.every()}
    failures = 0
    for application in [item async for item in requests.applications()]:
        request = asked.get(application.request_id)
        if request is None:
            continue
        try:
            await look_after(application, request, today)
        except Exception:  # noqa: BLE001 - whatever it is, the others are looked after
            LOGGER.exception("the end of %s could not be looked after", application.name)
            failures += 1
    return failures


async def look_after(application: ApplicationRecord, request: RequestRecord, today: date) -> None:
    """Send the notice that is due and mark what has ended: each once, however often this runs."""
    end = end_of(application, request)
    if end is None or application.state not in _LIVING:
        return
    if lifecycle.has_ended(end, today):
        await _expire(application, request, end)
    elif (days := lifecycle.due_notice(end, today)) is not None:
        await _tell(application, request, end, days)


async def _tell(application: ApplicationRecord, request: RequestRecord, end: date, days: int) -> None:
    intent = _intent(request, end, days)
    entry = Entry(
        f"{request.id}:expires-soon:{end}:{days}",
        utc_now(),
        "appstore",
        "expires-soon",
        request.id,
        f"{days} days or less until {end}; told {intent.system if intent else 'nobody: the request has no chat'}",
    )

    def work(now: ApplicationRecord) -> tuple[ApplicationRecord, Entry] | None:
        return (now, entry) if now.state in _LIVING and end_of(now, request) == end else None

    await applications.change(application.name, work, lambda _: _insertions(intent))


async def _expire(application: ApplicationRecord, request: RequestRecord, end: date) -> None:
    now = utc_now()
    intent = _intent(request, end, None)
    entry = Entry(f"{request.id}:expired:{end}", now, "appstore", "expired", request.id, f"its last day was {end}")

    def work(record: ApplicationRecord) -> tuple[ApplicationRecord, Entry] | None:
        if record.state != "active" or end_of(record, request) != end:
            return None
        return record.model_copy(update={"state": "expired", "expired_at": now}), entry

    await applications.change(application.name, work, lambda _: _insertions(intent))


def _insertions(intent: IntentRecord | None) -> list[Write]:
    return [intents.insertion(intent)] if intent else []


def _intent(request: RequestRecord, end: date, days: int | None) -> IntentRecord | None:
    """The message for the next minute's sweep to send; None without a chat."""
    system = notices.chat_of(request)
    if system is None:
        return None
    message: Message = notices.expiry(request, end.isoformat(), days, base=base())
    now = utc_now()
    return IntentRecord(
        request_id=request.id,
        application=request.application,
        kind=message.kind,
        occasion=int(f"{end:%Y%m%d}{_ENDED if days is None else days:03d}"),
        attempt=request.attempt,
        system=system,
        state=MessageState.DUE,
        message=message,
        tries=0,
        created_at=now,
        updated_at=now,
    )
