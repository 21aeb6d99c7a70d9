"""What is told of applications: the types with their schemas, and telling from a position again."""

from typing import Any

from pydantic import Field

from shared import authorisation
from shared.authorisation import ANYONE, REPLAY_EVENTS
from shared.clients import event_grid
from shared.clock import utc_now
from shared.domain_events import TYPES, schema_of
from shared.errors import RequestRejectedError
from shared.models import Model
from shared.register import audit, publications, requests
from shared.register.audit import Entry
from triggers._http import Answer, Call, endpoint


class DomainEventTypes(Model):
    """The types of events, each with what it means and what tells it."""

    published: bool = Field(description="Whether there is a topic at all.")
    types: dict[str, str]


class Replay(Model):
    """From where on to tell again."""

    model_config = {**Model.model_config, "extra": "forbid"}

    position: int = Field(ge=1, strict=True, description="Of the first event that is to be told again.")


class Position(Model):
    """How far an application's events have been told."""

    application: str
    told: int = Field(description="Position of the last entry of the audit trail that was told, or skipped.")


@endpoint(
    "GET",
    "domain-events/types",
    action=ANYONE,
    summary="Types of the events that the App Store publishes.",
    answers={200: DomainEventTypes},
)
async def list_domain_event_types(_call: Call) -> Answer:
    """List the types."""
    found = {name: kind.summary for name, kind in TYPES.items()}
    return Answer(200, DomainEventTypes(published=event_grid.configured(), types=found).document())


@endpoint(
    "GET",
    "domain-events/types/{type}",
    action=ANYONE,
    summary="JSON Schema of the data of a type.",
    answers={200: "The schema."},
)
async def get_domain_event_type(call: Call) -> Answer:
    """Answer the schema; the `dataschema` of an event leads here."""
    name = call.params.get("type", "")
    if name not in TYPES:
        raise RequestRejectedError("unknown-event-type", f"There is no type {name[:80]}.", status=404)
    document: dict[str, Any] = schema_of(name)
    return Answer(200, document)


@endpoint(
    "POST",
    "domain-events/{application}/replay",
    action=REPLAY_EVENTS,
    body=Replay,
    summary="Publish an application's events again from a position on.",
    answers={202: Position},
)
async def replay_domain_events(call: Call) -> Answer:
    """Set the position back; the next run of the timer tells everything after it, with the ids of the first time."""
    authorisation.require(call.caller, REPLAY_EVENTS)
    name, wanted = call.params.get("application", ""), call.body(Replay)
    if await requests.application(name) is None and not await audit.of_application(name):
        raise RequestRejectedError("unknown-application", f"There is no application {name[:80]}.", status=404)
    now = utc_now()
    key = f"{name}:replay-events:{wanted.position}:{now}"
    entry = Entry(key, now, call.caller.id, "replay-events", name, f"from {wanted.position} on")
    told = await publications.go_back(name, wanted.position - 1, entry)
    return Answer(202, Position(application=name, told=told).document())
