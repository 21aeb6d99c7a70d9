"""The same ten waiting steps: the App Store's host and a real Backstage scaffolder, side by side in one run."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from local.processes import Process
from local.sign_in import GITHUB, github_headers
from local.stack import CHECKOUT, Stack
from tests.backstage.backend import Backend, real_backstage
from tests.bench.processes import used
from tests.integration.world import World, closing

STEPS = [300, 800, 500, 1200, 2000, 700, 400, 1500, 900, 600]  # milliseconds: what onboarding's calls take, roughly
IDEAL = {"in turn": sum(STEPS), "in branches": sum(STEPS[:3]) + max(sum(STEPS[n:9:3]) for n in (3, 4, 5)) + STEPS[9]}
APP = CHECKOUT / "tests" / "bench" / "ten_steps"
PAUSE = 0.1


@dataclass(frozen=True)
class Row:
    """One measurement: `count` runs at once."""

    engine: str
    count: int
    median: float
    last: float
    ideal: float
    cpu: float
    memory: float


def measure(engine: str, ideal: float, count: int, root: int, run: Callable[[int], None]) -> Row:
    """Start `count` runs at once and follow each to its end."""
    before, begun = used(root), time.perf_counter()

    def timed(number: int) -> float:
        run(number)
        return time.perf_counter() - begun

    with ThreadPoolExecutor(count) as pool:
        seconds = list(pool.map(timed, range(count)))
    after = used(root)
    return Row(
        engine, count, statistics.median(seconds), max(seconds), ideal / 1000, after.since(before) / count, after.memory
    )


@contextmanager
def ten_steps(folder: Path) -> Iterator[tuple[str, int]]:
    """The ten-step app on the local host: its address and its process."""
    ready = folder / "ready"
    command = [sys.executable, "-m", "local.host", "--root", str(APP), "--port", "0", "--data", str(folder)]
    command += ["--ready-file", str(ready), "--log", "WARNING"]
    host = Process("host", command, dict(os.environ) | {"PYTHONPATH": str(CHECKOUT)}, CHECKOUT, folder / "host.log")
    host.start()
    try:
        host.require_ready(ready.exists, 60)
        yield str(json.loads(ready.read_text())["url"]), host.pid
    finally:
        host.stop()


def durable(address: str, flow: str) -> Callable[[int], None]:
    """Run a flow to its end."""

    def run(_number: int) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            place = client.post(f"{address}/api/runs/{flow}", json=STEPS).json()["statusQueryGetUri"]
            while (status := client.get(place).json()["runtimeStatus"]) in ("Pending", "Running"):
                time.sleep(PAUSE)
        if status != "Completed":
            raise RuntimeError(f"a run ended as {status}")

    return run


def scaffolder(backend: Backend) -> Callable[[int], None]:
    """Run the template to its end."""

    def run(number: int) -> None:
        with httpx.Client(base_url=f"{backend.address}/api/scaffolder/v2", trust_env=False, timeout=60) as client:
            client.headers["Authorization"] = f"Bearer {backend.token()}"
            body = {"templateRef": "template:default/bench", "values": {"name": f"run-{number}"}}
            task = client.post("/tasks", json=body).raise_for_status().json()["id"]
            while (status := client.get(f"/tasks/{task}").json()["status"]) in ("open", "processing"):
                time.sleep(PAUSE)
        if status != "completed":
            raise RuntimeError(f"a task ended as {status}")

    return run


def template() -> str:
    """The ten steps as a software template."""
    steps = [
        {"id": f"s{n}", "name": f"s{n}", "action": "debug:wait", "input": {"milliseconds": milliseconds}}
        for n, milliseconds in enumerate(STEPS, start=1)
    ]
    spec: dict[str, Any] = {"owner": "group:default/platform", "type": "service", "steps": steps}
    spec["parameters"] = [{"title": "Name", "required": ["name"], "properties": {"name": {"type": "string"}}}]
    head = {"apiVersion": "scaffolder.backstage.io/v1beta3", "kind": "Template", "metadata": {"name": "bench"}}
    return yaml.safe_dump(head | {"spec": spec})


def register(stack: Stack, backend: Backend) -> None:
    """Put the template into a repository and let Backstage read it."""
    made = stack.vendors.post(
        f"{GITHUB}/orgs/contoso/repos", json={"name": "bench", "auto_init": True}, headers=github_headers(stack)
    )
    made.raise_for_status()
    with closing(World(stack)) as world:
        world.commit("bench", {"template.yaml": template()})
    with httpx.Client(base_url=f"{backend.address}/api/catalog", trust_env=False, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {backend.token()}"
        target = "https://github.com/contoso/bench/blob/main/template.yaml"
        client.post("/locations", json={"type": "url", "target": target}).raise_for_status()
        deadline = time.monotonic() + 60
        while client.get("/entities/by-name/template/default/bench").status_code != httpx.codes.OK:
            if time.monotonic() > deadline:
                raise RuntimeError("Backstage did not show the template within 60 s")
            time.sleep(PAUSE)


def side_by_side(stack: Stack, folder: Path, counts: list[int]) -> list[Row]:
    """Both engines in turns, so that a busy moment of the machine hits both."""
    rows = []
    with real_backstage(stack, folder / "backstage") as backend, ten_steps(folder / "steps") as (address, root):
        register(stack, backend)
        for count in counts:
            for flow, ideal in IDEAL.items():
                run = durable(address, flow.replace(" ", "_"))
                rows.append(measure(f"App Store, {flow}", ideal, count, root, run))
            rows.append(measure("Backstage", IDEAL["in turn"], count, backend.pid, scaffolder(backend)))
    return rows
