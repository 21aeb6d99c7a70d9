"""CPU time and memory of a process and everything it started, read from /proc."""

import os
from collections import defaultdict
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


def peak_memory(pid: int) -> float:
    """Most resident memory of a process so far in MB, which ``ru_maxrss`` mixes with its parent's; 0 when it ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM")), 0.0)


def used(root: int) -> Used:
    """Sum over a process and its descendants, whatever session they are in; the ended ones count for their parents."""
    children: dict[int, list[int]] = defaultdict(list)
    figures: dict[int, Used] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(entry.name)
        children[int(fields[1])].append(pid)
        figures[pid] = Used(sum(int(field) for field in fields[11:15]) / TICKS, int(fields[21]) * PAGE_MB)
    found, open_ = [], [root]
    while open_:
        pid = open_.pop()
        found += [figures[pid]] if pid in figures else []
        open_ += children[pid]
    return Used(sum(one.cpu for one in found), sum(one.memory for one in found))
