import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

APPS = Path(__file__).parent / "apps"
PROJECT = Path(__file__).parents[2]
DURABLE = "/runtime/webhooks/durabletask"
_CLIENT = httpx.Client(timeout=30, trust_env=False, verify=False)  # noqa: S501 - plain HTTP; no CA bundle to load
FINISHED = {"Completed", "Failed", "Terminated"}


class Host:
    """A real host in a process of its own, over a data folder that outlives it."""

    def __init__(self, app: str | Path, folder: Path, *arguments: str, **environment: str) -> None:
        self.root = app if isinstance(app, Path) else APPS / app
        self.folder, self.data = folder, folder / "data"
        self.arguments = arguments
        self.environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TEST_DIR": str(folder), **environment}
        self.output = folder / "host.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def launch(self) -> subprocess.Popen[bytes]:
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "local.host", "--root", str(self.root), "--data", str(self.data)]
        command += ["--port", "0", "--ready-file", str(ready), *self.arguments]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder
            )
        return self.process

    def start(self) -> "Host":
        process = self.launch()
        ready = self.folder / "ready.json"
        wait_for(lambda: ready.exists() or process.poll() is not None, what="the host is ready")
        assert process.poll() is None, self.log()
        self.url = json.loads(ready.read_text())["url"].replace("localhost", "127.0.0.1")
        return self

    def log(self) -> str:
        return self.output.read_text()

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return _CLIENT.request(method, self.url + path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def orchestrate(self, name: str, payload: Any = None, instance: str = "") -> str:
        """Start through the app's own HTTP function, so through the SDK's client."""
        answer = self.post(f"/api/start/{name}" + (f"/{instance}" if instance else ""), json=payload)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def status(self, instance: str, query: str = "") -> dict[str, Any]:
        answer = self.get(f"{DURABLE}/instances/{instance}{query}")
        assert answer.status_code in (200, 202), answer.status_code
        document: dict[str, Any] = answer.json()
        return document

    def outcome(self, instance: str, within: float = 20.0) -> dict[str, Any]:
        wait_for(lambda: self.status(instance)["runtimeStatus"] in FINISHED, within, f"{instance} ends")
        return self.status(instance)

    def control(self, instance: str, operation: str, **options: Any) -> int:
        return self.post(f"{DURABLE}/instances/{instance}/{operation}", **options).status_code

    def database(self) -> contextlib.closing[sqlite3.Connection]:
        return contextlib.closing(sqlite3.connect(self.data / "host.db"))


def wait_for(condition: Callable[[], Any], within: float = 20.0, what: str = "the condition holds") -> None:
    deadline = time.monotonic() + within
    pause = 0.01
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        threading.Event().wait(pause)
        pause = min(pause * 1.5, 0.1)


@pytest.fixture
def new_host(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Makes hosts over the test's folder; what still runs at the end is killed."""
    hosts: list[Host] = []

    def make(app: str | Path, *arguments: str, folder: Path | None = None, **environment: str) -> Host:
        host = Host(app, folder or tmp_path, *arguments, **environment)
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        if host.process is not None and host.process.poll() is None:
            host.kill()


def _shared(app: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(app, tmp_path_factory.mktemp(app)).start()
    yield host
    assert host.stop() == 0, host.log()


@pytest.fixture(scope="session")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    yield from _shared("patterns", tmp_path_factory)


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    yield from _shared("web", tmp_path_factory)


@pytest.fixture
def eventually_async() -> Callable[..., Awaitable[None]]:
    """Waits in a thread of its own, so that what runs on the test's event loop goes on."""

    async def wait(condition: Callable[[], Any]) -> None:
        await asyncio.to_thread(wait_for, condition)

    return wait


@pytest.fixture
def eventually() -> Callable[..., None]:
    return wait_for
