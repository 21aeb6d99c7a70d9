"""`make bench-provision`: complete onboardings at once, and the same ten steps in Backstage's scaffolder beside it.

Everything runs on this machine, the pipelines of the stand-ins too: they run Terraform and the generated service's
tests. The CPU of the app (host and worker) is therefore told apart from that of the stand-ins.
"""

import argparse
import json
import signal
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from local.run import timeline
from local.stack import Stack
from tests.backstage.backend import missing
from tests.bench.processes import used
from tests.bench.scaffolding import Row, side_by_side
from tests.e2e.driver import Desk, Document

GOAL = 1.10
LATENCY = {"github": 120, "arm": 90, "entra": 60, "key_vault": 30, "servicenow": 250, "grafana": 80}  # milliseconds


@dataclass(frozen=True)
class Onboarding:
    """One application: seconds from the approval's work to its end, and its critical path."""

    wall: float
    path: float

    @property
    def ratio(self) -> float:
        return self.wall / self.path


def onboard(desk: Desk, name: str) -> Onboarding:
    """Order, approve, wait to the end."""
    request, digest = desk.planned(name, seconds=3000)
    desk.approve(request, digest)
    document: Document = desk.wait(request, "succeeded", seconds=3000)
    branches = set(timeline.BRANCHES)
    steps = [step for step in timeline.parse(document["steps"]) if step.branch in branches]
    return Onboarding(timeline.wall(steps), timeline.critical_path(steps)[0])


def onboardings(stack: Stack, counts: list[int]) -> None:
    """Print what so many onboardings at once take."""
    desk = Desk(stack)
    for system, delay in LATENCY.items():
        stack.vendors_admin("POST", "latency", {"system": system, "delay_ms": delay})
    roots = [pid for name, (pid, _) in _processes(stack).items() if name in ("host", "vendors")]
    head = ("at once", "wall s", "path s", "wall/path", "all done s", "app CPU s", "stand-ins CPU s", "app MB")
    say("".join(f"{title:>16}" for title in head))
    for count in counts:
        before = [used(pid) for pid in roots]
        begun = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            found = list(pool.map(lambda n, count=count: onboard(desk, f"b{count}-{n}-api"), range(count)))
        elapsed = time.perf_counter() - begun
        after = [used(pid) for pid in roots]
        cpu = [now.since(then) / count for now, then in zip(after, before, strict=True)]
        wall, path = (statistics.median(getattr(one, name) for one in found) for name in ("wall", "path"))
        ratio = statistics.median(one.ratio for one in found)
        cells = (f"{wall:.1f}", f"{path:.1f}", f"{ratio:.2f}", f"{elapsed:.1f}", f"{cpu[0]:.2f}", f"{cpu[1]:.2f}")
        say("".join(f"{cell:>16}" for cell in (count, *cells, f"{after[0].memory:.0f}")))
        if count == 1:
            say(f"{'':16}goal for one: at most {GOAL}; it is {'met' if ratio <= GOAL else 'NOT met'}")


def _processes(stack: Stack) -> dict[str, tuple[int, str]]:
    """The processes of the local run in the order of their names, as it has written them down."""
    found: dict[str, tuple[int, str]] = json.loads((stack.directory / "processes.json").read_text())["processes"]
    return dict(sorted(found.items()))


def compare(rows: list[Row]) -> None:
    """Print both engines and the ratio of their waiting and CPU time."""
    say(f"\n{'ten steps':26}{'at once':>9}{'median s':>10}{'last s':>9}{'ideal s':>9}{'CPU s/run':>11}{'MB':>7}")
    for row in rows:
        figures = f"{row.count:9}{row.median:10.2f}{row.last:9.2f}{row.ideal:9.2f}{row.cpu:11.3f}{row.memory:7.0f}"
        say(f"{row.engine:26}{figures}")
    for count in sorted({row.count for row in rows}):
        one = {row.engine: row for row in rows if row.count == count}
        backstage = one["Backstage"]
        for engine in ("App Store, in turn", "App Store, in branches"):
            times, cpu = backstage.last / one[engine].last, backstage.cpu / max(one[engine].cpu, 0.001)
            say(
                f"{count:4} at once: Backstage takes {times:.2f} times as long as {engine}, and {cpu:.2f} times its CPU"
            )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """1 when Backstage cannot run here; the onboardings are measured all the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="1,10,50")
    counts = [int(text) for text in parser.parse_args().counts.split(",")]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or the processes of the run would stay behind
    with TemporaryDirectory(prefix="appstore-bench-") as text:
        folder = Path(text)
        with Stack(folder / "stack") as stack:
            onboardings(stack, counts)
            if missing():
                sys.stderr.write(f"{missing()}\n")
                return 1
            compare(side_by_side(stack, folder, counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
