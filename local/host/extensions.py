"""The seam for trigger types: one module per extension, listed in `local.host.application`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from local.host.durable.links import Links
from local.host.durable.store import Store
from local.host.frames import Value
from local.host.functions import Function
from local.host.invoker import Call, Invoker, Result
from local.host.settings import HostSettings

type Listener = Callable[[asyncio.Event], Awaitable[None]]
"""Runs until the host stops; the event is set when it should end."""


@dataclass(frozen=True)
class Services:
    """What the host gives every extension."""

    settings: HostSettings
    environment: Mapping[str, str]
    functions: Mapping[str, Function]
    invoker: Invoker
    store: Store
    links: Links

    def of_kind(self, kind: str) -> list[Function]:
        return [function for function in self.functions.values() if function.kind == kind]

    async def run(
        self,
        function: Function,
        reason: str,
        value: Value,
        trace: str = "",
        metadata: Mapping[str, Value] | None = None,
    ) -> Result:
        """Run a function with its trigger value and its durable clients; raises what Invoker raises."""
        inputs = [(function.trigger["name"], value), *self.links.client_inputs(function)]
        return await self.invoker.invoke(Call(function, reason, inputs, metadata or {}, trace))


class Extension:
    """Binding types an extension implements, what it listens to, and its webhook."""

    name = ""  # as in /runtime/webhooks/{name}; lower case
    bindings: frozenset[str] = frozenset()

    def __init__(self, services: Services) -> None:
        self.services = services

    def listeners(self) -> dict[str, Listener]:
        """Coroutines that run as long as the host; each is supervised."""
        return {}

    async def webhook(self, request: web.Request, path: str) -> web.StreamResponse:
        """Answer /runtime/webhooks/{name}/{path}."""
        del request, path
        return web.Response(status=404)

    def test_value(self, text: str) -> Value:
        """The trigger value for POST /admin/functions/{name}."""
        return "string", text
