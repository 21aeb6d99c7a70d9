"""The journal: one JSON line for every call that reached the stand-ins, in an append-only file."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Journal:
    """Appends with one write per entry, so that a kill of the process leaves whole lines (a torn last one is dropped).

    Entries are numbered from 1 without gaps, also across restarts.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offsets: list[int] = []
        self._end = 0
        if file.exists():
            self._recover()
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, entry: dict[str, Any]) -> int:
        """Write an entry and return its number."""
        number = len(self._offsets) + 1
        line = json.dumps({"n": number, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry})
        written = os.write(self._descriptor, line.encode() + b"\n")
        self._offsets.append(self._end)
        self._end += written
        return number

    def read(self, since: int = 0, system: str | None = None) -> Iterator[dict[str, Any]]:
        """The entries with a number greater than `since`, of one system or of all."""
        if since >= len(self._offsets):
            return
        with self._file.open("rb") as lines:
            lines.seek(self._offsets[max(since, 0)])
            for line in lines:
                entry: dict[str, Any] = json.loads(line)
                if system in {None, entry["system"]}:
                    yield entry

    def clear(self) -> None:
        """Forget every entry; the next one is number 1."""
        os.ftruncate(self._descriptor, 0)
        self._offsets.clear()
        self._end = 0

    def close(self) -> None:
        os.close(self._descriptor)

    def __len__(self) -> int:
        return len(self._offsets)

    def _recover(self) -> None:
        with self._file.open("r+b") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    lines.truncate(self._end)
                    return
                self._offsets.append(self._end)
                self._end += len(line)
