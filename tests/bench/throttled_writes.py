"""600 writes against 200 and 10 a second: with the shared budget, and as the client was without it."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from unittest import mock

from local.stack import Stack
from shared.clients import resources
from shared.errors import IntegrationError
from shared.guard import Action, Facts, permit
from shared.origin import Origin, working_for
from tests.bench.connections import closed

COUNT, AT_ONCE, REFILL = 600, 200, 10
_ACTIVITIES = 24  # that an instance runs at once, as host.json says
IDEAL = (COUNT - AT_ONCE) / REFILL
_ALLOWED = permit(Action("undo", "resource group", "x", "req-1"), Facts(owned_by="req-1"))


@dataclass(frozen=True)
class Written:
    """Seconds until all were done or given up, refusals by Azure, and writes that are missing."""

    who: str
    seconds: float
    refused: int
    lost: int


async def _write(subscription: str, first: int, count: int, origin: Origin) -> None:
    numbers = iter(range(first, first + count))

    async def one_after_the_other() -> None:
        for number in numbers:
            group = f"/subscriptions/{subscription}/resourceGroups/rg-{number}"
            with suppress(IntegrationError):  # it is counted as lost
                await resources.put_group(group, "westeurope", {}, _ALLOWED)

    with working_for(origin):
        await closed(asyncio.gather(*(one_after_the_other() for _ in range(_ACTIVITIES))))


def _alone(subscription: str, origin: Origin) -> None:
    asyncio.run(_write(subscription, 0, COUNT, origin))


def _in_two(subscription: str, origin: Origin) -> None:
    """Two event loops: they share nothing but the register."""

    async def main() -> None:
        half = COUNT // 2
        parts = (asyncio.to_thread(asyncio.run, _write(subscription, n * half, half, origin)) for n in (0, 1))
        await asyncio.gather(*parts)

    asyncio.run(main())


@contextmanager
def _without_budget() -> Iterator[None]:
    with mock.patch.object(resources, "_ARM", replace(resources._ARM, budget=None)):
        yield


def measured(stack: Stack) -> Iterator[Written]:
    """Each way against a subscription that nobody has called yet."""
    with _without_budget():
        yield _measure(stack, "without the budget", lambda name: _alone(name, Origin.SWEEP))
    yield _measure(stack, "a person, one process", lambda name: _alone(name, Origin.PERSON))
    yield _measure(stack, "a sweep, one process", lambda name: _alone(name, Origin.SWEEP))
    yield _measure(stack, "a sweep, two processes", lambda name: _in_two(name, Origin.SWEEP))


def _measure(stack: Stack, who: str, work: Callable[[str], None]) -> Written:
    name, kind = str(uuid.uuid4()), "Microsoft.Resources/subscriptions"
    document = {"id": f"/subscriptions/{name}", "name": name, "type": kind, "properties": {}}
    stack.vendors_admin("POST", "seed", {"arm": {f"resource/subscriptions/{name}": document}})
    began = time.perf_counter()
    work(name)
    seconds = time.perf_counter() - began
    entries = [entry for entry in stack.journal() if entry["method"] == "PUT" and name in entry["url"]]
    statuses = [entry["status"] for entry in entries]
    return Written(who, seconds, statuses.count(429), COUNT - statuses.count(201))
