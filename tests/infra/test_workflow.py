"""The workflow of the infrastructure repository, as GitHub and its linters read it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.iac_runner.actions import ACTIONS
from tests.infra.conftest import INFRA

WORKFLOW = INFRA / "workflows" / "iac.yml"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    shutil.copy(WORKFLOW, tmp_path / ".github" / "workflows")
    shutil.copy(INFRA / "workflows" / "zizmor.yml", tmp_path / ".github")
    return tmp_path


def workflow() -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text())
    return document


def tool(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(name)
    return subprocess.run([str(program), *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_actionlint(repository: Path) -> None:
    done = tool("actionlint", ".github/workflows/iac.yml", folder=repository)
    assert done.returncode == 0, done.stdout


def test_zizmor(repository: Path) -> None:
    done = tool("zizmor", "--offline", "--no-progress", "--persona=auditor", ".", folder=repository)
    assert done.returncode == 0, done.stdout


def test_no_text_of_a_request_is_part_of_a_script() -> None:
    scripts = [step["run"] for job in workflow()["jobs"].values() for step in job["steps"] if "run" in step]
    assert scripts
    assert not any("${{" in script for script in scripts)


def test_the_identity_follows_from_the_action() -> None:
    environment = workflow()["jobs"]["terraform"]["environment"]
    writing = set(re.findall(r"inputs\.action == '([\w-]+)'", environment))
    assert writing == {"apply", "destroy", "unlock"}


def test_inputs_are_those_of_the_runner() -> None:
    inputs = workflow()[True]["workflow_dispatch"]["inputs"]  # YAML 1.1 reads the key "on" as true
    assert set(inputs["action"]["options"]) == set(ACTIONS)
    step = workflow()["jobs"]["terraform"]["steps"][-1]
    passed = set(re.findall(r"inputs\.(\w+)", " ".join(step["env"].values())))
    assert passed == set(inputs)
    assert set(re.findall(r'"\$(\w+)"', step["run"])) <= set(step["env"])


def test_runs_of_one_state_wait_for_each_other() -> None:
    assert workflow()["concurrency"] == {
        "group": "iac-${{ inputs.state_key }}",
        "cancel-in-progress": False,
        "queue": "max",
    }


def test_permissions_are_the_least() -> None:
    assert workflow()["permissions"] == {}
    assert workflow()["jobs"]["terraform"]["permissions"] == {"contents": "read", "id-token": "write"}
