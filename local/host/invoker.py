"""Runs functions in the worker process, replaces the process when it dies and enforces functionTimeout."""

import asyncio
import contextlib
import itertools
import logging
import signal
import socket
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from local.host import frames, functions
from local.host.errors import FunctionError, FunctionTimeoutError, HostError, WorkerLostError
from local.host.frames import Value
from local.host.functions import Function

_log = logging.getLogger("local.host.invocation")
_FRAME_LIMIT = 1 << 26
# The app finds its own folder on sys.path, not this host's: worker.main replaces the entry.
_BOOT = "import sys; sys.path[0] = sys.argv.pop(1); from local.host.worker import main; main()"
_IMPORT_ROOT = Path(__file__).resolve().parents[2]
_FIRST_BACK_OFF, _LONGEST_BACK_OFF = 0.1, 10.0


@dataclass(frozen=True)
class Call:
    """One invocation: the function, why it runs, and its inputs by parameter name."""

    function: Function
    reason: str
    inputs: Sequence[tuple[str, Value]]
    metadata: Mapping[str, Value] = field(default_factory=dict)
    trace: str = ""


@dataclass(frozen=True)
class Result:
    returned: Value
    outputs: Mapping[str, Value]


class Invoker(Protocol):
    """Anything that can run a function of the app."""

    async def invoke(self, call: Call) -> Result:
        """Run it; raises FunctionError, FunctionTimeoutError or WorkerLostError."""


class WorkerProcess:
    """The one worker process of this host, restarted with back-off whenever it ends."""

    def __init__(self, root: Path, timeout: float | None, log_level: str) -> None:
        self._root, self._timeout, self._log_level = root, timeout, log_level
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._ready = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self.restarts = 0
        self.functions: dict[str, Function] = {}

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._ready.is_set() else None

    @property
    def running(self) -> int:
        return len(self._pending)

    async def start(self) -> dict[str, Function]:
        """Start the process and return the app's functions; raises HostError when the app does not load."""
        reader, self.functions = await self._launch()
        self._supervisor = asyncio.create_task(self._supervise(reader))
        return self.functions

    async def _launch(self) -> tuple[asyncio.StreamReader, dict[str, Function]]:
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = (str(_IMPORT_ROOT), str(theirs.fileno()), str(self._root), self._log_level)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _BOOT, *arguments, pass_fds=[theirs.fileno()], start_new_session=True
            )
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_FRAME_LIMIT)
        try:
            hello = await frames.read(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise HostError(f"The worker ended while it imported {self._root}/function_app.py.") from None
        if "error" in hello:
            message, stack = hello["error"]
            raise HostError(f"function_app.py did not load: {message}\n{stack}")
        self._ready.set()
        return reader, functions.parse(hello["functions"])

    async def _supervise(self, reader: asyncio.StreamReader) -> None:
        while True:
            await self._receive(reader)
            self._ready.clear()
            await self._reap()
            self._fail_pending()
            reader = await self._relaunch()
            self.restarts += 1

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                answer = await frames.read(reader)
                waiting = self._pending.pop(answer["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)

    def _fail_pending(self) -> None:
        lost, self._pending = self._pending, {}
        for waiting in lost.values():
            if not waiting.done():
                waiting.set_exception(WorkerLostError("The worker process ended while the function ran."))

    async def _relaunch(self) -> asyncio.StreamReader:
        delay = _FIRST_BACK_OFF
        while True:
            await asyncio.sleep(delay)
            try:
                reader, _ = await self._launch()
            except HostError as error:
                _log.error("The worker did not restart, trying again: %s", error)
                await self._reap()
                delay = min(delay * 2, _LONGEST_BACK_OFF)
            else:
                _log.warning("The worker process was restarted (pid %s).", self.pid)
                return reader

    async def _reap(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            self._kill()
            code = await self._process.wait()
            _log.warning("The worker process %s ended (exit code %s).", self._process.pid, code)

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def invoke(self, call: Call) -> Result:
        invocation = str(uuid.uuid4())
        name = f"Functions.{call.function.name}"
        _log.info("Executing '%s' (Reason='%s', Id=%s)", name, call.reason, invocation)
        begun = time.perf_counter()
        verdict = "Failed"
        try:
            result = await self._exchange(call, invocation)
            verdict = "Succeeded"
        except FunctionError as error:
            _log_failure(name, error)
            raise
        finally:
            duration = (time.perf_counter() - begun) * 1000
            _log.info("Executed '%s' (%s, Id=%s, Duration=%.0fms)", name, verdict, invocation, duration)
        return result

    async def _exchange(self, call: Call, invocation: str) -> Result:
        await self._ready.wait()
        number = next(self._numbers)
        waiting = self._pending[number] = asyncio.get_running_loop().create_future()
        frame = {
            "id": number,
            "invocation": invocation,
            "function": call.function.id,
            "inputs": call.inputs,
            "metadata": call.metadata,
            "trace": call.trace,
        }
        try:
            self._send(frame)
            async with asyncio.timeout(self._timeout):
                answer = await waiting
        except TimeoutError:
            self._kill()
            raise FunctionTimeoutError(
                f"Timeout value of {self._timeout:g} s exceeded by function 'Functions.{call.function.name}' "
                f"(Id: '{invocation}')."
            ) from None
        finally:
            self._pending.pop(number, None)
        if "error" in answer:
            raise FunctionError(*answer["error"])
        kind, value = answer["return"]
        return Result((kind, value), {name: (k, v) for name, (k, v) in answer["outputs"].items()})

    def _send(self, frame: dict[str, Any]) -> None:
        if self._writer is None or self._writer.is_closing():
            raise WorkerLostError("The worker process is gone.")
        self._writer.write(frames.pack(frame))

    async def drain(self, grace: float) -> None:
        """Wait until nothing runs any more, `grace` seconds at most."""
        running = list(self._pending.values())
        if running:
            await asyncio.wait(running, timeout=grace)

    async def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        self._kill()
        if self._process is not None:
            await self._process.wait()
        if self._writer is not None:
            self._writer.close()
        self._fail_pending()


def _log_failure(name: str, error: FunctionError) -> None:
    # A failed orchestrator appends its whole state to the message: of no use to a reader.
    message, state, _ = error.message.partition("\n\n$OutOfProcData$")
    _log.error("%s failed: %s%s", name, message, "" if state else f"\n{error.stack}")
