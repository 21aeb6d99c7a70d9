"""Taking an event in exactly once: its row first, then the operation that it asks for."""

import asyncio
import hashlib
import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.canonical import digest
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.event_rules import UnreadableEventError, Wish, owner_of, wish_of
from shared.log import LOGGER, redact
from shared.models.events import EventRecord, EventState, ReceivedEvent
from shared.models.operations import AskedOperation, Occasion, OperationRecord, OperationState
from shared.per_loop import per_loop
from shared.register import events, operations, requests
from shared.settings import Settings, load
from shared.single_flight import SingleFlight
from shared.telemetry.metrics import measure
from triggers._operation_intake import accept
from triggers._sweeping import ORPHAN_SECONDS, apart, older

_S = EventState
_TRIES = 4  # the first one, and three by the sweep
_LARGEST = 20_000
_KEPT_APART = frozenset({"claims", "authorization", "httprequest", "caller"})
_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_TAGS = "microsoft.resources/tags/write"
_NOBODYS = {"state": _S.IGNORED, "reason": "It belongs to no application of the App Store."}


@dataclass
class _Latest:
    """The newest operation of its kind that this process has asked for."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    operation: str = ""


@per_loop
def _latest() -> dict[Hashable, _Latest]:
    return {}


@per_loop
def _flights() -> SingleFlight[dict[str, Any]]:
    return SingleFlight()


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
    held, etag = await events.claim(record)
    return await hand_over(client, held, etag) if held.state is _S.CLAIMED else held


async def hand_over(client: Any, record: EventRecord, etag: str = "") -> EventRecord:
    """Start what the event asks for; after the last try it is a dead letter with its reason.

    Args:
        client: the durable client.
        record: the event as it was read or written.
        etag: of its row; without one the row is read before it is changed.
    """
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

    new = change(record) if etag else None
    if new is None or not await events.settle(new, etag):
        new = await events.change(record.id, change) or record
    measure("appstore.events.settled", 1, {"appstore.outcome": str(new.state)})
    return new


async def _settle(client: Any, record: EventRecord) -> dict[str, Any]:
    event = record.event
    if str(event.data.get("operationName", "")).lower() == _TAGS and event.principal == _own_principal():
        return {"state": _S.IGNORED, "reason": "The App Store wrote these tags itself."}
    wish = wish_of(event)
    if wish is None:
        return {"state": _S.IGNORED, "reason": "Nothing has to be done about it."}
    owner = owner_of(wish.resource)
    if owner is None:
        return _NOBODYS
    # The events of one deployment come together and ask for one operation.
    flight = (*owner, wish.model_dump_json(exclude={"resource"}))
    return await _flights().join(flight, lambda: _operated(client, event, wish, *owner))


def _own_principal() -> str | None:
    return load(EventSettings).own_principal or None


async def _operated(client: Any, event: ReceivedEvent, wish: Wish, name: str, environment: str) -> dict[str, Any]:
    application = await requests.application(name)
    if application is None or environment not in application.environments:
        return _NOBODYS
    if event.source == "event-grid" and application.state == "reserved":
        # What is being made writes resources all the time, with the tags of its plan.
        return {"state": _S.IGNORED, "reason": f"{name} is being made: there is nothing to operate yet."}
    asked = _asked(event, wish, name, environment)
    operation = await (_stands_for_it(client, asked) if wish.together else accept(client, asked))
    return {"state": _S.HANDED_OVER, "application": name, "operation": operation.id, "reason": ""}


async def _stands_for_it(client: Any, asked: AskedOperation) -> OperationRecord:
    """An operation of the same kind that has not begun, as far as this process knows of one; else a new one.

    What the event tells of was there before the event: whatever begins after now sees it.
    """
    kind = (asked.application, asked.environment, asked.operation, digest(asked.parameters))
    latest = _latest().setdefault(kind, _Latest())
    async with latest.lock:
        found = await operations.find(asked.application, latest.operation) if latest.operation else None
        if found is None or found.state is not OperationState.RECEIVED:
            found = await accept(client, asked)
            latest.operation = found.id
        return found


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
