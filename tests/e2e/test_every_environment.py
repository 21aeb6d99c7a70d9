"""Every archetype in every environment: ordered, made, cloned, and judged by its own tests and linters."""

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local.sign_in import github_headers
from local.stack import Stack
from tests.archetypes import inspection
from tests.archetypes.test_every_archetype import NAMES
from tests.e2e.driver import Desk
from tests.e2e.estate import Estate

STAGES = ("dev", "qa", "prod")
WITH_ADDRESS = {"api": "/health", "spa": "/health.json"}


@dataclass
class Row:
    """One line of the table."""

    archetype: str
    onboarded: float = 0.0
    objects: int = 0
    files: int = 0
    tests: int = 0
    tested: float = 0.0
    linters: list[str] = field(default_factory=list)
    linted: float = 0.0


def table(rows: list[Row]) -> str:
    """The rows as Markdown, as docs/archetypes.md has them."""
    lines = ["| archetype | objects | onboarded in s | files | own tests | in s | linters | in s |", "|" + " --- |" * 8]
    for row in rows:
        figures = f"{row.objects} | {row.onboarded:.0f} | {row.files} | {row.tests} | {row.tested:.1f}"
        lines.append(f"| `{row.archetype}` | {figures} | {len(row.linters)} | {row.linted:.1f} |")
    return "\n".join(lines)


def _clone(stack: Stack, name: str, folder: Path) -> Path:
    token = github_headers(stack)["Authorization"].removeprefix("Bearer ")
    remote = f"https://x-access-token:{token}@github.com/contoso/{name}"
    command = ["git", "clone", "--quiet", remote, str(folder)]
    done = subprocess.run(
        command, env=stack.product_environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return folder


def _judge(row: Row, repository: Path) -> None:
    row.files = len(subprocess.check_output(["git", "ls-files"], cwd=repository, text=True).splitlines())
    inspection.with_packages(repository)
    start = time.monotonic()
    row.tests = inspection.own_tests(repository)
    row.tested = time.monotonic() - start
    start = time.monotonic()
    for name, command in inspection.linters(row.archetype).items():
        inspection.run(repository, *command)
        row.linters.append(name)
    row.linted = time.monotonic() - start


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_archetype_in_every_environment(desk: Desk, stack: Stack, tmp_path: Path) -> None:
    rows = []
    for archetype in NAMES:
        row, name = Row(archetype), f"{archetype.replace('_', '-')}-three"
        start = time.monotonic()
        request_id = desk.order(name, archetype=archetype, environments=list(STAGES), parameters={}, criticality="low")
        planned = desk.wait(request_id, "awaiting_approval", seconds=900)
        desk.approve(request_id, planned["plan"]["digest"])
        request = desk.wait(request_id, "succeeded", "parked", seconds=1200)
        row.onboarded = time.monotonic() - start
        assert request["state"] == "succeeded", request["problem"]
        assert (request["result"]["unplanned"], request["result"]["missing"]) == ([], [])
        row.objects = request["result"]["made"]
        groups = {item.rpartition("/")[2] for item in Estate(stack).tagged(request_id) if item.lower().count("/") == 4}
        assert groups >= {f"rg-{name}-{stage}" for stage in ("dev", "qa")}, groups
        if path := WITH_ADDRESS.get(archetype):
            answer = stack.vendors.get(f"https://{name}.dev.apps.contoso.com{path}")
            assert (answer.status_code, answer.json()["application"]) == (200, name)
        _judge(row, _clone(stack, name, tmp_path / name))
        assert row.tests >= 11
        rows.append(row)
        assert desk.decide(request_id, "undo").status_code == 202  # the team's quota has room for the next one
        desk.wait(request_id, "undone", seconds=600)
    print(f"\n{table(rows)}")  # noqa: T201 - what this test is for
