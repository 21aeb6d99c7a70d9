"""Events through a running host: taken in, claimed, handed over, and their operations carried out to the end."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from local.stack import Stack
from shared.models.events import EventState
from shared.register import _table
from shared.settings import USER_AGENT
from tests.bench.connections import closed
from tests.bench.processes import used
from tests.integration.day2 import active, group_of
from tests.integration.world import SUBSCRIPTION, World, closing

APPLICATIONS, DEPLOYMENTS, WRITES = 4, 10, 20  # of each application, and of each deployment
COUNT = APPLICATIONS * DEPLOYMENTS * WRITES
_BATCH, _SENDERS = 20, 8
_DEADLINE, _PAUSE = 600.0, 0.2
_ENDED = {"succeeded", "observed", "partial", "parked", "refused"}
_HOOK = "/runtime/webhooks/EventGrid?functionName=take_resources_event"


@dataclass(frozen=True)
class Handled:
    """What so many events took: seconds, seconds of processors, reads of Azure; and the operations they asked for."""

    what: str
    count: int
    seconds: float
    cpu: float
    reads: int
    operations: int = 0


def measured(stack: Stack) -> list[Handled]:
    """The writes of many deployments as they happen, and all of them once more."""
    with closing(World(stack)) as world:
        groups = asyncio.run(closed(_applications(world)))
        _send(stack, _written(groups[0], "warm"), 1)  # what a worker does once: imports, tokens, connections
        _wait(_all_carried_out)
        sent = [event for group in groups for number in range(DEPLOYMENTS) for event in _written(group, f"{number}")]
        clock = _Clock(world)
        _send(stack, sent, COUNT // _BATCH)
        taken = clock.read("new, acknowledged")
        _wait(_all_carried_out)
        done = clock.read("new, operations ended", asyncio.run(closed(_operations())) - 1)
        clock = _Clock(world)
        _send(stack, sent, COUNT // _BATCH)
        return [taken, done, clock.read("duplicates")]


class _Clock:
    """What has been used since it was made: time, processors by all processes of the run, reads of Azure."""

    def __init__(self, world: World) -> None:
        self._world, self._position = world, world.position()
        self._used, self._began = used(os.getpid()), time.perf_counter()

    def read(self, what: str, operations: int = 0) -> Handled:
        seconds, cpu = time.perf_counter() - self._began, used(os.getpid()).since(self._used)
        return Handled(what, COUNT, seconds, cpu, _reads(self._world, self._position), operations)


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


def _written(group: str, deployment: str) -> list[dict[str, Any]]:
    """A deployment writes several resources: an event for each."""
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
        for number in range(WRITES)
    ]


def _send(stack: Stack, events: list[dict[str, Any]], batches: int) -> None:
    """As Event Grid does: batches, several at once, each acknowledged when all of its events are taken in."""
    parts = [events[first::batches] for first in range(batches)]  # of all applications
    headers = {"aeg-event-type": "Notification"}
    with ThreadPoolExecutor(_SENDERS) as pool:
        for answer in pool.map(lambda part: stack.api.post(_HOOK, json=part, headers=headers, timeout=120), parts):
            answer.raise_for_status()


def _wait(done: Callable[[], Awaitable[bool]]) -> None:
    """Look now and then: who looks all the time takes the processor from what is measured."""

    async def look() -> None:
        while not await done():  # noqa: ASYNC110 - a table tells nobody that it has changed
            await asyncio.sleep(_PAUSE)

    asyncio.run(closed(asyncio.wait_for(look(), _DEADLINE)))


async def _all_carried_out() -> bool:
    """Every event is settled, and every operation that one asked for is at its end."""
    found = [row async for row in _table.query("PartitionKey eq 'events' and kind eq 'event'")]
    if any(row.document["state"] != EventState.HANDED_OVER for row in found):
        return False
    wanted = {row.document["operation"] for row in found}
    rows = [row async for row in _table.query("kind eq 'operation'")]
    return {row.document["id"] for row in rows if row.document["state"] in _ENDED} >= wanted


async def _operations() -> int:
    return len([row async for row in _table.query("kind eq 'operation'")])


def _reads(world: World, since: int) -> int:
    """Reads of Azure by the app."""
    calls = world.calls(since, "arm")
    return sum(call["method"] == "GET" and USER_AGENT in call["agent"] for call in calls)
