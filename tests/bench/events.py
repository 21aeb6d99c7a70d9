"""Events through a running host: taken in, claimed, handed over, and their operations carried out to the end."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from local.stack import Stack
from shared.models.events import EventState
from shared.register import _table
from shared.settings import USER_AGENT
from tests.bench.connections import closed
from tests.integration.day2 import active, group_of
from tests.integration.world import SUBSCRIPTION, World, closing

APPLICATIONS, DEPLOYMENTS, WRITES = 4, 5, 20  # of each application, and of each deployment
COUNT = APPLICATIONS * DEPLOYMENTS * WRITES
_BATCH, _SENDERS = 20, 8
_DEADLINE = 600.0
_HOOK = "/runtime/webhooks/EventGrid?functionName=take_resources_event"


@dataclass(frozen=True)
class Handled:
    """So many events took so many seconds and reads of Azure."""

    what: str
    count: int
    seconds: float
    reads: int


def measured(stack: Stack) -> list[Handled]:
    """The writes of twenty deployments as they happen, and all of them once more."""
    with closing(World(stack)) as world:
        groups = asyncio.run(closed(_applications(world)))
        sent = [event for group in groups for event in _written(group)]
        position, began = world.position(), time.perf_counter()
        _send(stack, sent)
        taken = time.perf_counter() - began
        _wait(_all_handed_over)
        handed = time.perf_counter() - began
        _wait(_all_carried_out)
        done, reads = time.perf_counter() - began, _reads(world, position)
        position, began = world.position(), time.perf_counter()
        _send(stack, sent)
        again = time.perf_counter() - began
        return [
            Handled("acknowledged", COUNT, taken, 0),
            Handled("handed over", COUNT, handed, 0),
            Handled("operations at their end", COUNT, done, reads),
            Handled("duplicates", COUNT, again, _reads(world, position)),
        ]


async def _applications(world: World) -> list[str]:
    """Applications that were made, and that no sweep takes for orders which nobody started."""
    groups = []
    for number in range(APPLICATIONS):
        record = await active(world, name=f"bench{number}-api")
        rows = [row async for row in _table.scan(record.application, "request:")]
        writes = [_table.Write(row.key, {**row.document, "state": "succeeded"}, etag=row.etag) for row in rows]
        await _table.commit(record.application, writes)
        groups.append(group_of(record))
    return groups


def _written(group: str) -> list[dict[str, Any]]:
    """Each deployment writes several resources: an event for each."""
    return [
        {
            "id": f"{group}-{deployment}-{number}",
            "topic": f"/subscriptions/{SUBSCRIPTION}",
            "subject": f"{group}/providers/Microsoft.Storage/storageAccounts/st{number}",
            "eventType": "Microsoft.Resources.ResourceWriteSuccess",
            "eventTime": "2026-11-26T10:00:00Z",
            "dataVersion": "2",
            "metadataVersion": "1",
            "data": {"correlationId": f"{group}-{deployment}", "operationName": "Microsoft.Storage/write"},
        }
        for deployment in range(DEPLOYMENTS)
        for number in range(WRITES)
    ]


def _send(stack: Stack, events: list[dict[str, Any]]) -> None:
    """As Event Grid does: batches, several at once, each acknowledged when all of its events are taken in."""
    batches = [events[first :: COUNT // _BATCH] for first in range(COUNT // _BATCH)]  # of all applications
    headers = {"aeg-event-type": "Notification"}
    with ThreadPoolExecutor(_SENDERS) as pool:
        for answer in pool.map(lambda batch: stack.api.post(_HOOK, json=batch, headers=headers, timeout=120), batches):
            answer.raise_for_status()


def _wait(done: Callable[[], Any]) -> None:
    deadline = time.perf_counter() + _DEADLINE
    while not asyncio.run(closed(done())):
        if time.perf_counter() > deadline:
            raise TimeoutError("the events were not handled in time")


async def _all_handed_over() -> bool:
    rows = [row async for row in _table.query("PartitionKey eq 'events' and kind eq 'event'")]
    return [row.document["state"] for row in rows].count(EventState.HANDED_OVER) == COUNT


async def _all_carried_out() -> bool:
    rows = [row async for row in _table.query("kind eq 'operation'")]
    ended = {"succeeded", "observed", "partial", "parked", "refused"}
    return len(rows) == APPLICATIONS * DEPLOYMENTS and all(row.document["state"] in ended for row in rows)


def _reads(world: World, since: int) -> int:
    """Reads of Azure by the app."""
    calls = world.calls(since, "arm")
    return sum(call["method"] == "GET" and USER_AGENT in call["agent"] for call in calls)
