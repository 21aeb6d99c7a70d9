"""The stand-ins' own API, on host localhost under /_vendors."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from .faults import Fault, Faults
from .journal import Journal
from .observe import problem
from .vendor import host_of

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1"})
PREFIX = "/_vendors/"


class Admin:
    """Health, journal, faults, latency, reset and seed."""

    def __init__(
        self,
        faults: Faults,
        journal: Journal,
        *,
        health: Callable[[], dict[str, Any]],
        reset: Callable[[list[str] | None], Awaitable[None]],
        seed: Callable[[dict[str, dict[str, Any]]], None],
    ) -> None:
        self._faults = faults
        self._journal = journal
        self._health = health
        self._reset = reset
        self._seed = seed

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_vendors/health", self.health),
            web.get("/_vendors/journal", self.journal),
            web.post("/_vendors/reset", self.reset),
            web.post("/_vendors/seed", self.seed),
            web.get("/_vendors/faults", self.list_faults),
            web.post("/_vendors/faults", self.add_fault),
            web.delete("/_vendors/faults", self.clear_faults),
            web.post("/_vendors/latency", self.set_latency),
        ]

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response(self._health())

    async def journal(self, request: web.Request) -> web.StreamResponse:
        try:
            since = int(request.query.get("since", "0"))
        except ValueError:
            return problem(400, "Bad request", "since is the number of an entry")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for entry in self._journal.read(since, request.query.get("system")):
            await response.write(json.dumps(entry).encode() + b"\n")
        await response.write_eof()
        return response

    async def reset(self, request: web.Request) -> web.Response:
        document = await _document(request) if request.can_read_body else {}
        await self._reset(document.get("systems"))
        return web.Response(status=204)

    async def seed(self, request: web.Request) -> web.Response:
        self._seed(await _document(request))
        return web.Response(status=204)

    async def list_faults(self, _: web.Request) -> web.Response:
        return web.json_response([vars(fault) for fault in self._faults.active])

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            self._faults.add(Fault.parse(await _document(request)))
        except ValueError as error:
            return problem(400, "Bad fault", str(error))
        return web.Response(status=201)

    async def clear_faults(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return web.Response(status=204)

    async def set_latency(self, request: web.Request) -> web.Response:
        """`{"system": "github", "delay_ms": 200}`; system "*" is every one without its own."""
        document = await _document(request)
        if not isinstance(document.get("system"), str) or not isinstance(document.get("delay_ms"), int):
            return problem(400, "Bad latency", "system (text) and delay_ms (whole number) are needed")
        self._faults.latency_ms[document["system"]] = document["delay_ms"]
        return web.Response(status=204)


def is_admin(request: web.Request) -> bool:
    """True for a call of the stand-ins' own API."""
    return host_of(request) in LOCAL_HOSTS and request.path.startswith(PREFIX)


async def _document(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.read())
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise web.HTTPBadRequest(text="the body is not a JSON object")
    return document
