"""What the step rows of a request say about time: per branch, in total, and the critical path."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

BRANCHES = ("source", "environment", "deployment", "records", "board", "dashboards", "catalogue", "messages")


@dataclass(frozen=True)
class Step:
    """One step row, times in seconds since the epoch; `finished` is None while it runs."""

    name: str
    branch: str
    environment: str
    state: str
    started: float
    finished: float | None
    attempts: int
    detail: str
    link: str
    problem: str

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.environment


def parse(rows: Iterable[Mapping[str, Any]]) -> list[Step]:
    """Read the step rows of `GET /api/requests/{id}`, in the order in which they started."""
    return sorted((_step(row) for row in rows if row.get("startedAt")), key=lambda step: step.started)


def _step(row: Mapping[str, Any]) -> Step:
    problem = row.get("problem") or {}
    return Step(
        name=row["name"],
        branch=row["branch"],
        environment=row.get("environment") or "",
        state=row["state"],
        started=_seconds(row["startedAt"]),
        finished=_seconds(row["finishedAt"]) if row.get("finishedAt") else None,
        attempts=int(row.get("attempts") or 1),
        detail=row.get("detail") or "",
        link=row.get("link") or "",
        problem=problem.get("detail") or problem.get("title") or "",
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def by_branch(steps: Sequence[Step]) -> dict[str, list[Step]]:
    """Group the steps by branch: the well-known branches first, then others in the order in which they started."""
    order = {name: number for number, name in enumerate(BRANCHES)}
    names = sorted(dict.fromkeys(step.branch for step in steps), key=lambda name: order.get(name, len(order)))
    return {name: [step for step in steps if step.branch == name] for name in names}


def wall(steps: Sequence[Step]) -> float:
    """Return the seconds from the first start to the last end."""
    if not steps:
        return 0.0
    return max(step.finished or step.started for step in steps) - min(step.started for step in steps)


def critical_path(steps: Sequence[Step]) -> tuple[float, list[Step]]:
    """Return the longest chain of steps that had to wait for each other, with its busy seconds.

    The chain is walked back from the step that ended last: its predecessor is the step that ended last before it
    started. A step that starts a pipeline lasts until its branch goes on. Other gaps (scheduling, people) are wall
    time but not work.
    """
    ended = [_with_its_pipeline(step, steps) for step in steps if step.finished is not None]
    chain: list[Step] = []
    limit = float("inf")
    while True:
        before = [step for step in ended if (step.finished or 0) <= limit and step not in chain]
        if not before:
            break
        chain.append(max(before, key=lambda step: step.finished or 0))
        limit = chain[-1].started
    chain.reverse()
    return sum((step.finished or 0) - step.started for step in chain), chain


def _with_its_pipeline(step: Step, steps: Sequence[Step]) -> Step:
    if not step.name.startswith("start_"):
        return step
    lane = [s.started for s in steps if (s.branch, s.environment) == (step.branch, step.environment)]
    later = [started for started in lane if started >= (step.finished or 0)]
    return replace(step, finished=min(later)) if later else step
