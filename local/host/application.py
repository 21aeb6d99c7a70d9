"""Puts the host together, runs it until it is told to stop, and takes it down gracefully."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from local.host import functions, keys, settings
from local.host.admin import Admin
from local.host.durable.extension import Durable
from local.host.durable.links import Links
from local.host.durable.store import Store
from local.host.errors import HostError
from local.host.event_grid import EventGrid
from local.host.extensions import Extension, Services
from local.host.front import Front
from local.host.invoker import WorkerProcess
from local.host.listeners import Listeners
from local.host.service_bus import ServiceBus
from local.host.timers import Timers

_log = logging.getLogger("local.host")
_ADDRESS = "127.0.0.1"
_BODY_LIMIT = 104_857_600  # FUNCTIONS_REQUEST_BODY_SIZE_LIMIT of the real host
_EXTENSIONS: tuple[type[Extension], ...] = (Durable, Timers, ServiceBus, EventGrid)
_HTTP_BINDINGS = frozenset({"httpTrigger", "http"})

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Options:
    """The command line."""

    root: Path
    data: Path
    port: int
    rpc_port: int
    log: str
    auth: bool
    grace: float
    ready_file: Path | None


def _listen(port: int, option: str) -> socket.socket:
    """Take the port at once: callers wait in its backlog until the host answers."""
    try:
        return socket.create_server((_ADDRESS, port), backlog=128)
    except OSError:
        raise HostError(f"Port {port} is taken: stop the program that uses it or choose another {option}.") from None


async def _answer(handler: Handler, port: socket.socket, stack: contextlib.AsyncExitStack) -> web.SockSite:
    """Let the handler answer every request on the port; the site's stop() accepts nothing new."""
    application = web.Application(client_max_size=_BODY_LIMIT)
    application.router.add_route("*", r"/{path:[\s\S]*}", handler)  # a line break in a path is a character like others
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.SockSite(runner, port)
    await site.start()
    return site


async def serve(options: Options) -> None:
    """Run the host until SIGTERM or SIGINT; raises HostError with the reason it cannot start."""
    begun = time.perf_counter()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    settings.load_app_settings(options.root, os.environ)
    host_settings = settings.load_host_settings(options.root, os.environ)
    async with contextlib.AsyncExitStack() as stack:
        store = stack.enter_context(contextlib.closing(Store(options.data / "host.db")))
        public = stack.enter_context(_listen(options.port, "--port"))
        rpc = stack.enter_context(_listen(options.rpc_port, "--rpc-port"))
        port, rpc_port = public.getsockname()[1], rpc.getsockname()[1]
        worker = WorkerProcess(options.root, host_settings.timeout, options.log)
        stack.push_async_callback(worker.stop)
        found = await worker.start()
        supported = _HTTP_BINDINGS.union(*(extension.bindings for extension in _EXTENSIONS))
        functions.refuse_unsupported(found.values(), supported)
        enabled = {name: f for name, f in found.items() if not settings.disabled(name, os.environ)}
        key_ring = keys.load(options.data, required=options.auth)
        url = f"http://localhost:{port}"
        links = Links(host_settings.durable.hub, key_ring.system, url, f"http://{_ADDRESS}:{rpc_port}")
        services = Services(host_settings, os.environ, enabled, worker, store, links)
        durable = Durable(services)
        extensions: dict[str, Extension] = {durable.name: durable}
        extensions |= {kind.name: kind(services) for kind in _EXTENSIONS if kind is not Durable}
        listeners = Listeners()
        details: dict[str, Any] = {}

        def status() -> dict[str, Any]:
            return {**details, "worker": {"pid": worker.pid, "restarts": worker.restarts, "running": worker.running}}

        admin = Admin(services, found, extensions, listeners, status)
        front = Front(services, extensions, admin, key_ring)
        await _answer(durable.api.rpc, rpc, stack)
        resumed = durable.engine.start()
        details["resumed"] = asdict(resumed)
        site = await _answer(front.handle, public, stack)
        for extension in extensions.values():
            listeners.start(extension.listeners())
        _announce(options, url, port, len(enabled), begun)
        if resumed.instances or resumed.activities:
            _say(f"resumed   {_count(resumed.instances, 'instance')}, {_again(resumed.activities)}")
        await stopping.wait()
        _log.info("Stopping: no new work, %g s for what runs.", options.grace)
        await site.stop()
        await asyncio.gather(listeners.stop(options.grace), durable.engine.stop(options.grace))
        await worker.drain(options.grace)


def _announce(options: Options, url: str, port: int, count: int, begun: float) -> None:
    elapsed = (time.perf_counter() - begun) * 1000
    if options.ready_file is not None:
        draft = options.ready_file.with_name(options.ready_file.name + ".new")
        draft.write_text(json.dumps({"url": url, "pid": os.getpid(), "port": port}), encoding="utf-8")
        draft.rename(options.ready_file)
    _say(f"ready     {url}   pid {os.getpid()}   {_count(count, 'function')}   {elapsed:.0f} ms")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _again(number: int) -> str:
    return "1 activity runs again" if number == 1 else f"{number} activities run again"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
