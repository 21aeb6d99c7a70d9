"""CPU time and memory of a process and everything it started (its session), read from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class Used:
    """CPU seconds since the start, and resident memory in MB now."""

    cpu: float
    memory: float

    def since(self, before: "Used") -> float:
        """CPU seconds between two looks."""
        return self.cpu - before.cpu


def used(session: int) -> Used:
    """Sum over the processes of a session; those that ended meanwhile are in their parents' children time."""
    cpu, memory = 0.0, 0.0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            cpu += sum(int(field) for field in fields[11:15]) / TICKS
            memory += int(fields[21]) * PAGE_MB
    return Used(cpu, memory)
