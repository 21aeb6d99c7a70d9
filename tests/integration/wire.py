"""What the product sends over the wire: every call that changes something, and what befalls one of them."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from azure.data.tables.aio import TableClient

from tests.integration.day2 import WorkerDiedError
from tests.integration.world import World

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
# A POST that asks: keys, the backup of a secret, the inventory, the states of policies, tokens.
_QUESTION = re.compile(
    r"/listKeys|/secrets/[^/]+/backup$|ResourceGraph/resources|/queryResults|/access_tokens|/graphql|/oauth"
)

type Befalls = Callable[[int, httpx.Request], Awaitable[None] | None]


@dataclass
class Wire:
    """The calls that changed something, or were meant to, in their order; the vendors may have refused them."""

    sent: list[httpx.Request] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(f"{request.method} {request.url}" for request in self.sent)


def changes_something(request: httpx.Request) -> bool:
    """Whether a call is meant to change something at the vendor."""
    return request.method not in _READS and not _QUESTION.search(request.url.path)


@contextmanager
def watched(before: Befalls | None = None, after: Befalls | None = None) -> Iterator[Wire]:
    """Watch the wire.

    Args:
        before: told of a call with its number, from one on, before it is sent.
        after: told of it when the vendor has done it; what it raises, the product meets instead of the answer.
    """
    wire, send = Wire(), httpx.AsyncHTTPTransport.handle_async_request

    async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        if not changes_something(request):
            return await send(transport, request)
        wire.sent.append(request)
        number = len(wire.sent)
        if before and (befalling := before(number, request)):
            await befalling
        response = await send(transport, request)
        if after:
            await response.aread()
            await response.aclose()
            if befalling := after(number, request):
                await befalling
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
        yield wire


def dying_after_each() -> Befalls:
    """The worker dies when the vendor has done a call: the effect is there, nobody was told; once for each call."""
    died: set[tuple[str, str, bytes]] = set()

    def die(_number: int, request: httpx.Request) -> None:
        call = (request.method, request.url.path, request.content)
        if call not in died:
            died.add(call)
            raise WorkerDiedError(f"{request.method} {request.url}")

    return die


@contextmanager
def dying_after_rows(times: int = 3) -> Iterator[None]:
    """The worker dies when rows of the register were written, so often for each: they are there, nobody knows."""
    died = Counter[tuple[str, ...]]()

    def dying(write: Any) -> Any:
        async def commit(table: TableClient, written: Any, **options: Any) -> Any:
            done = await write(table, written, **options)
            entities = [written] if "RowKey" in written else [operation[1] for operation in written]
            rows = tuple(sorted(str(entity["RowKey"]) for entity in entities))
            died[rows] += 1
            if died[rows] <= times:
                raise WorkerDiedError(" ".join(rows))
            return done

        return commit

    with pytest.MonkeyPatch.context() as patch:
        for name in ("submit_transaction", "create_entity", "update_entity", "upsert_entity"):
            patch.setattr(TableClient, name, dying(getattr(TableClient, name)))
        yield


def failing(world: World, number: int, *, on: bool = False, **fault: Any) -> Befalls:
    """The call of this number fails, and, with ``on``, every later one as well."""

    def fail(sent: int, request: httpx.Request) -> None:
        if sent == number or (on and sent > number):
            place = f"^{re.escape(request.url.host + request.url.path)}"
            world.fault(method=request.method, path=place, times=1, **fault)

    return fail
