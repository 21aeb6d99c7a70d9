"""One child process of the local run: its own session, its own log, an end that is always reached."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parent.parent


class LocalRunError(Exception):
    """The local run cannot start or go on; the text is one sentence that names the remedy."""


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.02) -> bool:
    """Poll a condition until it holds or the deadline passes; return whether it held."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def started_at(pid: int) -> str:
    """Return the start time of a process as the system writes it, or "" when there is no such process.

    A process id alone may have been given to somebody else; together with the start time it is an identity.
    """
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def end_group(pid: int, grace: float, *, force: bool = True) -> None:
    """Stop the process group of a child politely, and by SIGKILL when it does not listen (only if `force`)."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGTERM)
    if not wait_until(lambda: not _group_alive(pid), grace) and force:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _group_alive(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


@dataclass
class Process:
    """A child in its own session, so that Ctrl-C of the terminal reaches only the parent, which stops all in order."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    grace: float = 10.0
    force: bool = True
    child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int:
        return self.child.pid if self.child else 0

    @property
    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    @property
    def return_code(self) -> int | None:
        return self.child.poll() if self.child else None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                list(self.command),
                cwd=self.directory,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def require_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until the child answers.

        Raises:
            LocalRunError: it ended or did not answer in time; the sentence carries the end of its log.
        """
        if wait_until(lambda: ready() or not self.alive, seconds) and self.alive:
            return
        state = "did not answer in time" if self.alive else f"ended with code {self.return_code}"
        tail = "\n          ".join(self.last_lines(8))
        raise LocalRunError(f"{self.name} {state}; the end of {self.log} says:\n          {tail}")

    def last_lines(self, count: int) -> Iterator[str]:
        if self.log.exists():
            yield from self.log.read_text(errors="replace").splitlines()[-count:]

    def stop(self) -> None:
        """End the child and everything it started."""
        if self.child is None:
            return
        end_group(self.child.pid, self.grace, force=self.force)
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(self.grace)

    def kill(self) -> None:
        """End the child at once, as a crash of the machine would (SIGKILL to its whole session)."""
        if self.child is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait(5)


def keep_caches_in(folder: Path) -> None:
    """Let npm and uv use a cache in the checkout when the home directory cannot be written."""
    home = Path(os.environ.get("HOME") or "/nonexistent")
    if not os.access(home, os.W_OK):
        os.environ.setdefault("npm_config_cache", str(folder / "npm"))
        os.environ.setdefault("UV_CACHE_DIR", str(folder / "uv"))


def plain_environment() -> dict[str, str]:
    """What every process of a local run sees: no proxy of the machine, and the checkout's modules."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"PYTHONPATH": str(_CHECKOUT), "PYTHONUNBUFFERED": "1"}
