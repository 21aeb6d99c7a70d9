"""Ports of this machine: who has one, and which one nobody else will take before it is used."""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from local.processes import LocalRunError

_LISTENING = "0A"
_PROC = Path("/proc")
# Below those that systems give to outgoing connections (Linux from 32768, macOS from 49152): one of these could take a
# port between the look at it and its use.
_RANGE = range(20000, 32768)


def free_port(preferred: int = 0) -> int:
    """Return the preferred port when it is free, else one that is this process's until it ends.

    Raises:
        LocalRunError: every port is taken.
    """
    if preferred and _is_free(preferred):
        return preferred
    begin = secrets.randbelow(len(_RANGE))  # so that runs seldom look at the same ones
    for port in chain(_RANGE[begin:], _RANGE[:begin]):
        if _is_free(port) and _claim(port):
            return port
    raise LocalRunError(f"no port from {_RANGE.start} to {_RANGE.stop - 1} is free: end what listens there")


def _is_free(port: int) -> bool:
    """Whether nobody listens on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _claim(port: int) -> bool:
    """Whether no other local run has it; the system takes the claim back when this process ends."""
    folder = Path(tempfile.gettempdir()) / f"appstore-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    claim = os.open(folder / str(port), os.O_WRONLY | os.O_CREAT)  # stays open until this process ends
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(claim)
        return False
    return True


def holder(port: int) -> str:
    """The program that listens on the port, as `node (pid 4711)`; `another program` when the system does not tell."""
    pid = _by_proc(port) if (_PROC / "net" / "tcp").exists() else _by_lsof(port)
    return f"{_name(pid)} (pid {pid})" if pid else "another program"


def _by_proc(port: int) -> int | None:
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):  # it ended, or it is somebody else's
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) in sockets:
                        return int(process.name)
    return None


def _inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _by_lsof(port: int) -> int | None:
    program = shutil.which("lsof")
    if program is None:
        return None
    command = [program, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return int(told[0]) if told else None


def _name(pid: int) -> str:
    told = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return Path(told.strip() or "a program").name
