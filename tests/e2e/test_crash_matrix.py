"""The host dies after an external call; the next start goes on; every external object exists exactly once.

The points come from the journal of an undisturbed run. A fault holds the answer of the chosen call back after it had
its effect; then the host is killed: the effect is there, and nobody was told.
"""

import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.e2e.driver import Desk, body, until
from tests.e2e.estate import Estate

SYSTEMS = (
    "github",
    "arm",
    "key_vault",
    "storage",
    "entra",
    "kubernetes",
    "servicenow",
    "grafana",
    "github_projects",
    "backstage",
    "teams",
)
AGENT = "appstore-orchestrator"
SAMPLE = 2
LANES = 6
type StackFactory = Callable[..., Stack]


@dataclass(frozen=True)
class Point:
    """The m-th call of one kind."""

    system: str
    method: str
    path: str
    occurrence: int

    def fault(self, name: str) -> dict[str, Any]:
        pattern = self.path.replace("{name}", re.escape(name))
        return {
            "system": self.system,
            "method": self.method,
            "path": f"{pattern}$",
            "agent": AGENT,
            "skip": self.occurrence,
            "mode": "hold",
        }


def _kind(entry: dict[str, Any], name: str, request_id: str) -> str:
    """The call's URL without what differs between two runs."""
    path = entry["url"].removeprefix("https://").split("?")[0]
    for value, stand_in in ((request_id, "[^/]+"), (name, "{name}")):
        path = path.replace(value, f"\0{stand_in}\0")
    path = "".join(part if index % 2 else re.escape(part) for index, part in enumerate(path.split("\0")))
    path = re.sub(r"[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}", "[0-9a-f]+", path)
    path = re.sub(r"(?<=\\-dev\\-)[0-9a-f]{6}\b", "[0-9a-f]{6}", path)  # what makes a name unique in all of Azure
    path = re.sub(r"(runs|pulls)/\d+", r"\1/\\d+", path)
    path = re.sub(r"tasks/[0-9a-f\\-]{36,}", "tasks/[0-9a-f-]+", path)
    return path + r"(\?.*)?"


def points(journal: list[dict[str, Any]], name: str, request_id: str) -> list[Point]:
    """Every call of the app that changed something, and the first of every kind that only read."""
    seen: Counter[tuple[str, str, str]] = Counter()
    found = []
    for entry in journal:
        if entry["system"] not in SYSTEMS or AGENT not in entry["agent"]:
            continue
        key = (entry["system"], entry["method"], _kind(entry, name, request_id))
        if entry["mutating"] or not seen[key]:
            found.append(Point(*key, occurrence=seen[key]))
        seen[key] += 1
    return found


def unreached(chosen: list[Point], held: list[dict[str, Any]], name: str) -> list[Point]:
    """The points at which no call was held; calls of one kind are held in the order of their occurrence."""
    met = list(held)
    missing = []
    for point in sorted(chosen, key=lambda point: point.occurrence):
        fault = point.fault(name)
        hit = next((call for call in met if _is_call(call, fault)), None)
        if hit is None:
            missing.append(point)
        else:
            met.remove(hit)
    return missing


def _is_call(entry: dict[str, Any], fault: dict[str, Any]) -> bool:
    same = (entry["system"], entry["method"]) == (fault["system"], fault["method"])
    return same and re.search(fault["path"], entry["url"]) is not None


class Flow:
    """One onboarding during which the host is killed at every given point, one after the other."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack, self.name, self.desk = stack, name, Desk(stack)
        self.held: list[dict[str, Any]] = []
        self.position = self.desk.position()
        self.request_id = ""

    def run(self, chosen: list[Point]) -> dict[str, Any]:
        for point in chosen:
            self.desk.fault(**point.fault(self.name))
        document = until(f"{self.name} runs", self._step, 180 + 30 * len(chosen))
        self.desk.heal()
        return document

    def _step(self) -> dict[str, Any] | None:
        if held := [entry for entry in self.stack.journal(self.position) if entry["fault"] == "hold"]:
            self.position = held[-1]["n"]
            self.stack.kill_host()
            self.held += held
            self.stack.start_host()
        try:
            return self._look()
        except (httpx.TransportError, json.JSONDecodeError):
            return None

    def _look(self) -> dict[str, Any] | None:
        if not self.request_id:
            self.request_id = self._order()
            return None
        answer = self.stack.api.get(
            f"/api/requests/{self.request_id}", headers=self.stack.bearer("operator"), timeout=1.0
        )
        document: dict[str, Any] = answer.json()
        if document.get("state") == "awaiting_approval":
            self.stack.api.post(
                f"/api/requests/{self.request_id}/approve",
                json={"planDigest": document["plan"]["digest"]},
                headers=self.stack.bearer("approver"),
                timeout=1.0,
            )
        return document if document.get("state") in ("succeeded", "parked", "cancelled", "rejected") else None

    def _order(self) -> str:
        answer = self.stack.api.post(
            "/api/requests",
            json=body(self.name),
            headers=self.stack.bearer("requester") | {"Idempotency-Key": self.name},
            timeout=1.0,
        )
        return str(answer.json().get("id", ""))


def _undisturbed(stack: Stack, name: str) -> list[Point]:
    flow = Flow(stack, name)
    before = flow.position
    document = flow.run([])
    assert document["state"] == "succeeded", document["problem"]
    found = points(stack.journal(before), name, flow.request_id)
    assert len(found) > 60, found
    return found


def _killed(stack: Stack, name: str, chosen: list[Point]) -> list[Point]:
    """Run a flow with kills; returns the points that it did not come by."""
    flow = Flow(stack, name)
    document = flow.run(chosen)
    assert document["state"] == "succeeded", (document["problem"], len(flow.held))
    assert document["result"]["missing"] == _unconfirmed(document, name)
    assert document["result"]["unplanned"] == []
    Estate(stack).require_exactly_once(name, flow.request_id)
    return unreached(chosen, flow.held, name)


def _unconfirmed(document: dict[str, Any], name: str) -> list[str]:
    """A chat that nobody can ask gets at most one message: after a kill it may be missing, and that is said."""
    unsure = [told for told in document["messages"] if told["state"] == "unconfirmed"]
    return [f"{told['system']}:{told['kind']} message:{name}" for told in unsure]


@pytest.fixture
def stack_for_kills(fresh_stack: StackFactory) -> Stack:
    return fresh_stack("crash", host_environment={"APPSTORE_RETRY_SECONDS": "0.5", "APPSTORE_POLL_SECONDS": "0.3"})


@pytest.mark.long
def test_some_kills_leave_one_of_everything(stack_for_kills: Stack) -> None:
    seed = int(os.environ.get("CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    every = _undisturbed(stack_for_kills, "calm-api")
    chosen = random.Random(seed).sample(every, SAMPLE)  # noqa: S311 - a drawn sample, repeatable by its seed
    kills = SAMPLE - len(_killed(stack_for_kills, "storm-api", chosen))
    print(f"\ncrash sample: seed {seed}, {len(every)} points, {kills} kills of {SAMPLE} drawn")  # noqa: T201 - the proof
    assert kills >= SAMPLE // 2


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_kill_after_each_external_call(stack_for_kills: Stack) -> None:
    """Points that a flow no longer comes by after its earlier kills are tried in further flows, until none is left."""
    every = _undisturbed(stack_for_kills, "calm-api")
    every = [point for point in every if re.search(os.environ.get("CRASH_POINTS", ""), f"{point.method} {point.path}")]
    lanes = [every[lane::LANES] for lane in range(LANES)]
    left: list[Point] = []
    flows = 0
    while lanes:
        chosen = lanes.pop(0)
        missed = _killed(stack_for_kills, f"lane{flows}-api", chosen)
        assert len(missed) < len(chosen), missed
        flows, left = flows + 1, left + missed
        reached = len(every) - len(left) - sum(map(len, lanes))
        print(f"\nflow {flows}: {len(chosen) - len(missed)} kills; {reached} of {len(every)} points", flush=True)  # noqa: T201 - the proof
        if not lanes and left:
            lanes, left = [left], []
    print(f"crash matrix: {reached} of {len(every)} points, {flows} of {flows} flows finished, 0 duplicates")  # noqa: T201 - the proof
    assert reached == len(every)
