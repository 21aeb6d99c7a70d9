"""Names that are hard to tell apart, and places that are hard to write: long proofs of their own."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from local.stack import CHECKOUT, Stack
from tests.e2e.driver import Desk
from tests.e2e.estate import Estate

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def test_two_applications_whose_names_are_shortened_alike_live_side_by_side(
    fresh_stack: Callable[..., Stack],
) -> None:
    stack = fresh_stack("alike")
    desk, estate = Desk(stack), Estate(stack)
    applications = [f"payments-settlement-reporting-{tail}" for tail in ("a", "b")]
    orders = {name: desk.order(name) for name in applications}
    for name, request_id in orders.items():
        digest = desk.wait(request_id, "awaiting_approval", seconds=300)["plan"]["digest"]
        desk.approve(request_id, str(digest))
        assert name
    for name, request_id in orders.items():
        request = desk.wait(request_id, "succeeded", seconds=600)
        assert (request["result"]["missing"], request["result"]["unplanned"]) == ([], [])
        estate.require_exactly_once(name, request_id)
        health = stack.vendors.get(f"https://{name}.dev.apps.contoso.com/health")
        assert health.json()["application"] == name
    first, second = orders.values()
    assert desk.decide(first, "undo").status_code == 202
    desk.wait(first, "undone", seconds=300)
    estate.require_exactly_once(applications[1], second)  # the undo of one touches nothing of the other
    assert stack.vendors.get(f"https://{applications[1]}.dev.apps.contoso.com/health").status_code == 200


def test_a_checkout_below_spaces_and_umlauts_runs(tmp_path: Path) -> None:
    """As whoever clones it there: set up by its own Makefile, an order to its end, tests that start processes."""
    place = tmp_path / "Äpp Störe ü" / "it's here"
    place.parent.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(place)], check=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "APPSTORE_", "MAKE"))}
    once = _make(place, kept, "once", "NAME=umlaut-api")
    assert "SUCCEEDED" in once
    assert "Traceback" not in once
    again = _make(place, kept, "once", "NAME=umlaut-api")
    assert "0 mutating calls" in again
    _make(place, kept, "setup-dev")
    tests = ["tests/e2e/test_local_run.py", "tests/infra/test_variables.py", "tests/structure", "tests/unit"]
    python = str(place / ".venv" / "bin" / "python")
    sample = [python, "-m", "pytest", "-q", "-m", "not long", *tests]
    done = subprocess.run(sample, cwd=place, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def _make(place: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr
