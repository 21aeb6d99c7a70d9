"""Our own API against its own description: every check of schemathesis, from valid and from invalid data."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.driver import Desk
from tests.e2e.test_crash_matrix import StackFactory

# Every check is on. What a business rule refuses (unknown team, no landing zone) is 422 although the schema allows it.
SETTINGS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "422"]

[parameters]
"path.id" = "{request}"
"path.name" = "{name}"

[[operations]]
include-operation-id = "get_archetype"
parameters = {{ "path.id" = "api" }}
"""


def _check(desk: Desk, name: str, examples: int, folder: Path) -> None:
    request, _ = desk.planned(name)
    config = folder / "schemathesis.toml"
    config.write_text(SETTINGS.format(request=request, name=name))
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(config), "run", "--no-color"]
    command += [f"{desk.stack.host_url}/api/openapi.json", "--checks", "all", "--max-examples", str(examples)]
    command += ["--header", f"Authorization: {desk.stack.bearer('admin')['Authorization']}"]
    direct = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(command, cwd=folder, env=direct, capture_output=True, text=True, check=False, timeout=900)
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert re.search(r"\d+ generated", done.stdout), "nothing was tested"


@pytest.mark.long
def test_the_api_does_what_it_says(fresh_stack: StackFactory, tmp_path: Path) -> None:
    """On a stack of its own: an administrator who sends everything also freezes, holds and stops everything."""
    _check(Desk(fresh_stack("said")), "said-api", 2, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1000)
def test_the_api_does_what_it_says_for_many_examples(fresh_stack: StackFactory, tmp_path: Path) -> None:
    _check(Desk(fresh_stack("said-often")), "said-often-api", 150, tmp_path)
