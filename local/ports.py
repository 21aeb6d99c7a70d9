"""Who has a port: so that a program that stands in the way is named, not only its number."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_LISTENING = "0A"
_PROC = Path("/proc")


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
