"""Taking an event in exactly once: its row first, then the operation that it asks for."""

import hashlib
import json
from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.event_rules import UnreadableEventError, Wish, owner_of, wish_of
from shared.log import LOGGER, redact
from shared.models.events import EventRecord, EventState, ReceivedEvent
from shared.models.operations import AskedOperation, Occasion
from shared.register import events, requests
from shared.settings import Settings, load
from triggers._operation_intake import accept
from triggers._sweeping import ORPHAN_SECONDS, apart, older

_S = EventState
_TRIES = 4  # the first one, and three by the sweep
_LARGEST = 20_000
_KEPT_APART = frozenset({"claims", "authorization", "httprequest", "caller"})
_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_TAGS = "microsoft.resources/tags/write"


class EventSettings(Settings):
    """Events of Azure."""

    model_config = SettingsConfigDict(env_prefix="EVENTS_", frozen=True, extra="ignore")

    own_principal: str = Field(
        default="", description="Object id of the App Store's own identity: the tags that it writes are no news to it."
    )


async def take_in(client: Any, event: ReceivedEvent) -> EventRecord:
    """Claim the event and hand it over; a repeat of one that is settled changes nothing.

    Once the row is written, nothing is lost: what fails now the sweep tries again.
    """
    now = utc_now()
    record = EventRecord(id=event_id(event), event=event, received_at=now, updated_at=now)
    held = await events.claim(record)
    if held.state is not _S.CLAIMED:
        return held
    return await hand_over(client, held)


async def hand_over(client: Any, record: EventRecord) -> EventRecord:
    """Start what the event asks for; after the last try it is a dead letter with its reason."""
    try:
        settled = await _settle(client, record)
    except (UnreadableEventError, RequestRejectedError) as error:
        settled = {"state": _S.DEAD, "reason": redact(str(error))[:1000]}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and then told
        LOGGER.warning("the event %s could not be handed over: %s", record.id, type(error).__name__)
        over = record.tries + 1 >= _TRIES
        reason = redact(f"{type(error).__name__}: {error}")[:1000]
        settled = {"state": _S.DEAD if over else _S.CLAIMED, "reason": reason}

    def change(old: EventRecord) -> EventRecord | None:
        if old.state is not _S.CLAIMED:
            return None
        return old.model_copy(update={**settled, "tries": old.tries + 1, "updated_at": utc_now()})

    return await events.change(record.id, change) or record


async def _settle(client: Any, record: EventRecord) -> dict[str, Any]:
    event = record.event
    own = load(EventSettings).own_principal
    if own and event.principal == own and str(event.data.get("operationName", "")).lower() == _TAGS:
        return {"state": _S.IGNORED, "reason": "The App Store wrote these tags itself."}
    wish = wish_of(event)
    if wish is None:
        return {"state": _S.IGNORED, "reason": "Nothing has to be done about it."}
    owner = owner_of(wish.resource)
    application = await requests.application(owner[0]) if owner else None
    if owner is None or application is None or owner[1] not in application.environments:
        return {"state": _S.IGNORED, "reason": "It belongs to no application of the App Store."}
    operation = await accept(client, _asked(event, wish, *owner))
    return {"state": _S.HANDED_OVER, "application": application.name, "operation": operation.id, "reason": ""}


def _asked(event: ReceivedEvent, wish: Wish, application: str, environment: str) -> AskedOperation:
    return AskedOperation(
        operation=wish.operation,
        application=application,
        environment=environment,
        parameters=wish.parameters,
        occasion=Occasion.ALERT if event.source == "azure-monitor" else Occasion.EVENT,
        business_key=wish.business_key,
        requester="appstore",
        requester_name="App Store",
        reason=event.kind[:200],
    )


def event_id(event: ReceivedEvent) -> str:
    """Id of an event. Azure Policy gives two events about one resource the same id: kind and time belong to it."""
    text = f"{event.source}\x00{event.topic.lower()}\x00{event.id}\x00{event.kind}\x00{event.time}"
    return f"evt-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def from_event_grid(document: dict[str, Any]) -> ReceivedEvent:
    """An event of Event Grid as it is kept: who caused it by object id only, nothing else of the claims."""
    data = document.get("data")
    fields = data if isinstance(data, dict) else {}
    claims = fields.get("claims")
    return ReceivedEvent(
        source="event-grid",
        id=str(document.get("id") or ""),
        topic=str(document.get("topic") or ""),
        subject=str(document.get("subject") or ""),
        kind=str(document.get("eventType") or ""),
        time=str(document.get("eventTime") or ""),
        principal=str(claims.get(_OBJECT_ID, "")) if isinstance(claims, dict) else "",
        data=kept(fields),
    )


def kept(data: dict[str, Any]) -> dict[str, Any]:
    """The data without claims and without what looks like a credential; too much of it is left out."""
    found = {name: _clean(value) for name, value in data.items() if name.lower() not in _KEPT_APART}
    return found if len(json.dumps(found)) <= _LARGEST else {}


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items() if name.lower() not in _KEPT_APART}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return redact(value) if isinstance(value, str) else value


async def sweep_events(client: Any) -> None:
    """Hand over what was claimed and then left, for example by a process that died."""
    async for record in events.claimed():
        if older(record.updated_at, ORPHAN_SECONDS):
            await apart(record.id, _again(client, record))


async def _again(client: Any, record: EventRecord) -> None:
    await hand_over(client, record)
