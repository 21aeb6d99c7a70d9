"""Faults and latency: what a test makes go wrong between a caller and a stand-in."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

MODES = frozenset({"status", "drop_before", "drop_after", "status_after", "body", "delay", "hold"})
FIELDS = frozenset(
    {"system", "method", "path", "agent", "content", "times", "skip", "mode", "status", "body", "headers", "delay_ms"}
)
EVERY_SYSTEM = "*"

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Dropped(Exception):  # noqa: N818 -- an outcome of the call, not an error of the stand-in
    """The fault closed the connection; nothing must be sent any more."""


@dataclass
class Fault:
    """One thing that goes wrong for the calls that fit.

    A call fits by `system`, `method`, `path` (regex over host, path and query), `agent` (regex over the User-Agent) and
    `content` (regex over its JSON body: all calls of a GraphQL API have one path).
    """

    mode: str
    system: str = EVERY_SYSTEM
    method: str | None = None
    path: str = ""
    agent: str = ""
    content: str = ""
    times: int | None = 1
    skip: int = 0
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_ms: int = 0

    @classmethod
    def parse(cls, document: Any) -> Self:
        """A fault from its JSON. Raises ValueError that says what is wrong."""
        if not isinstance(document, dict) or not document.keys() <= FIELDS:
            raise ValueError(f"a fault is an object with the members {', '.join(sorted(FIELDS))}")
        if document.get("mode") not in MODES:
            raise ValueError(f"mode is one of {', '.join(sorted(MODES))}")
        for name in ("path", "agent", "content"):
            try:
                re.compile(document.get(name, ""))
            except re.error as error:
                raise ValueError(f"{name} is not a regular expression: {error}") from error
        return cls(**document)

    def fits(self, system: str, request: web.Request, body: Any) -> bool:
        return (
            self.system in {EVERY_SYSTEM, system}
            and self.method in {None, request.method}
            and re.search(self.path, f"{request.host}{request.path_qs}") is not None
            and re.search(self.agent, request.headers.get("User-Agent", "")) is not None
            and (not self.content or re.search(self.content, json.dumps(body)) is not None)
        )

    def response(self, default_status: int) -> web.Response:
        """The answer the caller gets instead of the vendor's."""
        status = self.status or default_status
        if isinstance(self.body, str):
            content_type = "text/html" if self.body.lstrip().startswith("<") else "text/plain"
            return _response(status, self.body, content_type, self.headers)
        body = {"error": {"code": "InjectedFault", "message": "injected"}} if self.body is None else self.body
        return _response(status, json.dumps(body), "application/json", self.headers)


class Faults:
    """The faults and delays in force. They live in memory: a restart of the stand-ins ends them."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self.latency_ms: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        self.active.append(fault)

    def clear(self) -> None:
        self.active.clear()
        self.latency_ms.clear()

    def take(self, system: str, request: web.Request, body: Any) -> Fault | None:
        """The first fault for this call, used up by one."""
        for fault in self.active:
            if not fault.fits(system, request, body):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self.active.remove(fault)
            return fault
        return None

    async def wait(self, system: str) -> None:
        """The latency of a system."""
        delay = self.latency_ms.get(system, self.latency_ms.get(EVERY_SYSTEM, 0))
        if delay:
            await asyncio.sleep(delay / 1000)


async def apply(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Run a call under a fault. Raises Dropped when the connection is closed instead of answered."""
    if fault.delay_ms:
        await asyncio.sleep(fault.delay_ms / 1000)
    match fault.mode:
        case "drop_before":
            raise Dropped
        case "status":
            return fault.response(500)
        case "body":
            return fault.response(200)
    response = await handler(request)
    match fault.mode:
        case "drop_after":
            raise Dropped
        case "status_after":
            return fault.response(500)
    return response


def _response(status: int, text: str, content_type: str, headers: dict[str, str]) -> web.Response:
    response = web.Response(status=status, text=text, content_type=content_type)
    response.headers.update(headers)
    return response
