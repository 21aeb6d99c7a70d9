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
from shared.rule_set import bundle, rules_revision
from tests.infra.conftest import INFRA

WORKFLOW = INFRA / "workflows" / "iac.yml"
RULES_WORKFLOW = INFRA / "workflows" / "rules.yml"
DEPLOY_WORKFLOW = INFRA / "workflows" / "deploy.yml"
WORKFLOWS = (WORKFLOW, RULES_WORKFLOW, DEPLOY_WORKFLOW)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    for workflow in WORKFLOWS:
        shutil.copy(workflow, tmp_path / ".github" / "workflows")
    shutil.copy(INFRA / "workflows" / "zizmor.yml", tmp_path / ".github")
    return tmp_path


def workflow(path: Path = WORKFLOW) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    return document


def tool(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(name)
    return subprocess.run([str(program), *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_actionlint(repository: Path) -> None:
    done = tool("actionlint", *(f".github/workflows/{path.name}" for path in WORKFLOWS), folder=repository)
    assert done.returncode == 0, done.stdout


def test_zizmor(repository: Path) -> None:
    done = tool("zizmor", "--offline", "--no-progress", "--persona=auditor", ".", folder=repository)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_value_is_part_of_a_script(path: Path) -> None:
    scripts = [step["run"] for job in workflow(path)["jobs"].values() for step in job["steps"] if "run" in step]
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


def test_the_bundle_of_every_revision_is_kept() -> None:
    jobs = workflow(RULES_WORKFLOW)["jobs"]
    upload = next(step["run"] for step in jobs["bundle"]["steps"] if step.get("name") == "Upload")
    assert "revisions/$REVISION.tar.gz" in upload
    config = yaml.safe_load((INFRA / "opa" / "config.yaml").read_text())
    polled = config["bundles"]["appstore"]
    assert f"--name {polled['resource']} " in upload
    assert f"--container-name {config['services']['bundles']['url'].rpartition('/')[2]} " in upload
    assert polled["polling"]["max_delay_seconds"] <= 20
    assert {job["permissions"]["id-token"] for job in jobs.values()} == {"write"}
    assert workflow(RULES_WORKFLOW)["permissions"] == {}


def test_make_writes_the_bundle_of_these_rules(tmp_path: Path) -> None:
    target = tmp_path / "dist" / "bundle.tar.gz"
    command = [sys.executable, "-m", "shared.rule_set", str(target)]
    done = subprocess.run(command, cwd=INFRA.parent, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == rules_revision()
    assert target.read_bytes() == bundle()
    assert "bundle: setup" in (INFRA.parent / "Makefile").read_text()
