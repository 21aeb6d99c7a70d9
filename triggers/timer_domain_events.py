"""What happened to applications is told to other systems: twice a minute, whatever their audit trails have got."""

from itertools import batched

import azure.durable_functions as df
import azure.functions as func

from shared import domain_events
from shared.clients import event_grid
from shared.domain_events import Subject, type_of
from shared.errors import TransientIntegrationError
from shared.log import LOGGER
from shared.models.domain_events import DomainEvent
from shared.models.records import AuditRecord
from shared.register import audit, operations, promotions, publications, requests
from shared.register._table import Row, RowConflictError
from shared.telemetry.metrics import measure
from triggers._sweeping import age

blueprint = df.Blueprint()

_TOGETHER = 100  # entries, so that a call stays far below the megabyte that a topic takes


class TopicDownError(Exception):
    """The topic does not take events: what waits keeps waiting, and the next run goes on from there.

    Attributes:
        since: when the oldest of what waits happened.
    """

    def __init__(self, since: str) -> None:
        super().__init__(since)
        self.since = since


async def publish_domain_events(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger's binding
    """Tell what was not told yet, of each application in the order of its audit trail.

    At least once: who dies between telling and keeping it tells the same events with the same ids again.
    """
    if not event_grid.configured():
        return
    oldest = 0.0
    cursors = await publications.cursors()
    for application, head in (await audit.heads()).items():
        cursor = cursors.get(application)
        if head.sequence <= publications.position(cursor):
            continue
        try:
            await tell(application, cursor)
        except TopicDownError as error:
            oldest = age(error.since)
            break
        except Exception:  # noqa: BLE001 - a trail that cannot be told keeps no other from it
            LOGGER.exception("what happened to %s could not be told", application)
    measure("appstore.queue.age", oldest, {"appstore.queue": "domain-events"})


async def tell(application: str, cursor: Row | None) -> None:
    """Tell what happened to one application after its cursor; raises TopicDownError."""
    waiting = await publications.entries_after(application, publications.position(cursor))
    for part in batched(waiting, _TOGETHER, strict=False):
        events = [await _event(application, entry) for entry in part if type_of(entry)]
        try:
            if events:
                await event_grid.publish(events)
        except TransientIntegrationError as error:
            LOGGER.warning("events of %s wait: %s", application, error)
            raise TopicDownError(part[0].at) from error
        try:
            cursor = await publications.advance(application, cursor, part[-1].sequence)
        except RowConflictError:
            return  # somebody else tells them, or wants them told again


async def _event(application: str, entry: AuditRecord) -> DomainEvent:
    return domain_events.event_of(application, entry, await _subject(application, entry.request_id))


async def _subject(application: str, identifier: str) -> Subject | None:
    if identifier.startswith("op-"):
        return await operations.find(application, identifier)
    if identifier.startswith("pro-"):
        return await promotions.find(application, identifier)
    return await requests.find(application, identifier)


timed = blueprint.timer_trigger(arg_name="timer", schedule="15,45 * * * * *")(publish_domain_events)
blueprint.function_name("publish_domain_events")(timed)
