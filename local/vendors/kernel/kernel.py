"""The kernel: one process, one port, every stand-in."""

import asyncio
import logging
import os
import shutil
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from .admin import Admin, is_admin
from .certificates import CertificateAuthority
from .faults import Faults, Handler
from .journal import Journal
from .listener import Listener
from .observe import Observer
from .store import Database, Store
from .vendor import Directory, Vendor, mount

GRACE_SECONDS = 5.0
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER")

log = logging.getLogger("local.vendors")


@dataclass
class Kernel:
    """Everything the stand-ins share.

    `root` is the folder of the local run: `ca/` (certificates), `vendors/` (documents, journal, files of stand-ins).
    `upstreams` are real servers that stand-ins forward to ("azurite-blob", "azurite-table").
    """

    root: Path
    upstreams: Mapping[str, str] = field(default_factory=dict)
    port: int = 0

    def __post_init__(self) -> None:
        self.data_dir = self.root / "vendors"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.authority = CertificateAuthority(self.root / "ca")
        self.ca_bundle = self.authority.bundle
        self.faults = Faults()
        self._database = Database(self.data_dir / "documents.sqlite3")
        self._journal = Journal(self.data_dir / "journal.jsonl")
        self._vendors: dict[str, Vendor] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failures: dict[str, str] = {}
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None

    @property
    def proxy_url(self) -> str:
        """The address of the one port; known to handlers and start hooks, not yet to build."""
        return f"http://127.0.0.1:{self.port}"

    def store(self, vendor: str) -> Store:
        """The persistent documents of a stand-in; what is written survives a kill of the process."""
        return Store(self._database, vendor)

    def vendor(self, name: str) -> Any:
        """The in-process interface of another stand-in. Ask inside handlers, not at build."""
        if name not in self._vendors:
            raise LookupError(f"there is no stand-in {name}")
        return self._vendors[name].public

    def child_environment(self) -> dict[str, str]:
        """The environment for processes that must reach the vendors through the stand-ins, and nothing else."""
        bundle = str(self.ca_bundle)
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), self.proxy_url)
        direct = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
        variables = ("SSL_CERT_FILE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        return kept | proxies | direct | dict.fromkeys(variables, bundle)

    def spawn(self, coro: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run something in the background; its failure is logged and shown in health, its end comes with the kernel."""
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def start(self, vendors: Iterable[Vendor]) -> None:
        """Start the stand-ins in this order and open the port."""
        self._vendors = {vendor.name: vendor for vendor in vendors}
        self._runner = web.AppRunner(self._application(), shutdown_timeout=GRACE_SECONDS, access_log=None)
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("the HTTP server did not start")
        self._listener = Listener(self._runner.server, self.authority.server_context("localhost"))
        self.port = self._listener.bind(self.port)
        # The port answers before the start hooks run: a hook may call another stand-in under its real name.
        self._listener.start()
        await self._start_vendors()

    async def stop(self) -> None:
        """Let work end that needs the vendors, then stop accepting, stop in reverse order, close the files."""
        for vendor in self._vendors.values():
            if vendor.drain is not None:
                await vendor.drain()
        if self._listener is not None:
            await self._listener.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._stop_vendors()
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._database.close()
        self._journal.close()

    def _application(self) -> web.Application:
        directory = Directory(self._vendors.values())
        observer = Observer(directory, self.faults, self._journal)
        admin = Admin(self.faults, self._journal, health=self._health, reset=self._reset, seed=self._seed)

        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await (handler(request) if is_admin(request) else observer.run(request, handler))

        # Streams of any size pass: a saved plan or a package is read by its stand-in, not by the kernel.
        application = web.Application(middlewares=[around], client_max_size=0)
        pages = [page for vendor in self._vendors.values() for page in vendor.pages]
        mount(application, "admin", is_admin, admin.routes() + pages)
        for vendor in self._vendors.values():
            mount(application, vendor.name, partial(_is_for, vendor, directory), vendor.routes)
        return application

    async def _start_vendors(self) -> None:
        for vendor in self._vendors.values():
            if vendor.start is not None:
                await vendor.start()

    async def _stop_vendors(self) -> None:
        for vendor in reversed(self._vendors.values()):
            if vendor.stop is not None:
                await vendor.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures[task.get_name()] = repr(error)
            log.error("background task %s failed", task.get_name(), exc_info=error)

    def _health(self) -> dict[str, Any]:
        return {
            "status": "degraded" if self._failures else "healthy",
            "systems": {name: list(vendor.hosts) for name, vendor in self._vendors.items()},
            "failed_tasks": self._failures,
            "journal": len(self._journal),
            "pid": os.getpid(),
        }

    async def _reset(self, systems: list[str] | None) -> None:
        """Back to the first day: documents and files of all stand-ins or of the named ones, and the journal."""
        await self._stop_vendors()
        for name in systems if systems is not None else list(self._vendors):
            self.store(name).clear()
            shutil.rmtree(self.data_dir / name, ignore_errors=True)
        if systems is None:
            self._journal.clear()
        self.faults.clear()
        self._failures.clear()
        await self._start_vendors()

    def _seed(self, documents: dict[str, dict[str, Any]]) -> None:
        """Put documents into stores: `{"entra": {"personas/eve": {...}}}`."""
        with self._database.transaction():
            for name, entries in documents.items():
                for key, value in entries.items():
                    self.store(name).put(key, value)


def _is_for(vendor: Vendor, directory: Directory, request: web.Request) -> bool:
    return directory.of(request) is vendor
