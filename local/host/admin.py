"""The admin API: host status, ping, list of functions, run a function by hand (HostController.cs)."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from local.host.errors import FunctionError, WorkerLostError
from local.host.extensions import Extension, Services
from local.host.frames import Value
from local.host.functions import Function
from local.host.listeners import Listeners


@dataclass
class Admin:
    """Answers below /admin/."""

    services: Services
    all_functions: Mapping[str, Function]
    extensions: Mapping[str, Extension]
    listeners: Listeners
    details: Callable[[], dict[str, Any]]
    started: float = field(default_factory=time.monotonic)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def handle(self, request: web.Request, path: str) -> web.StreamResponse:
        match request.method, path.split("/"):
            case "GET", ["host", "status"]:
                return web.json_response(self._status())
            case (("GET" | "POST"), ["host", "ping"]):
                return web.Response(status=200)
            case "GET", ["functions"]:
                return web.json_response([self._describe(function) for function in self.all_functions.values()])
            case "GET", ["functions", name] if name in self.all_functions:
                return web.json_response(self._describe(self.all_functions[name]))
            case "POST", ["functions", name] if name in self.services.functions:
                return await self._run(request, self.services.functions[name])
        return web.Response(status=404)

    def _status(self) -> dict[str, Any]:
        return {
            "id": "localhost",
            "state": "Running",
            "version": "4.0.0.local",
            "processUptime": int((time.monotonic() - self.started) * 1000),
            "listeners": {name: asdict(state) for name, state in self.listeners.states.items()},
            **self.details(),
        }

    def _describe(self, function: Function) -> dict[str, Any]:
        return {
            "name": function.name,
            "language": "python",
            "isDisabled": function.name not in self.services.functions,
            "config": {"bindings": list(function.bindings)},
        }

    async def _run(self, request: web.Request, function: Function) -> web.StreamResponse:
        """Start the function and answer at once, as the real host does."""
        try:
            document = json.loads(await request.text())
        except ValueError:
            document = None
        if not isinstance(document, dict):
            return web.Response(status=400, text='The body must be a JSON object such as {"input": ""}.')
        content = document.get("input")
        text = content if isinstance(content, str) else json.dumps(content)
        owner = next((e for e in self.extensions.values() if function.kind in e.bindings), None)
        if owner is None:
            return web.Response(status=400, text=f"A function with a {function.kind} is not run this way.")
        task = asyncio.create_task(self._fire(function, owner.test_value(text)))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return web.Response(status=202)

    async def _fire(self, function: Function, value: Value) -> None:
        with contextlib.suppress(FunctionError, WorkerLostError):  # logged where it ran
            await self.services.run(function, "This function was programmatically called via the host APIs.", value)
