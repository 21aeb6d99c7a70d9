"""Cloud Custodian itself says what our policies are and what our filters mean; for `make test-custodian`."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.clean_up_rules import FOLDER
from tests.unit.clean_up_cases import CASES, DISK

ASKED_FOR = "APPSTORE_TEST_CUSTODIAN"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(ASKED_FOR not in os.environ, reason="Cloud Custodian is installed by make test-custodian only"),
]
OURS_ALONE = "tag:OWNER"  # Azure does not tell tags apart by case, Cloud Custodian does


def run(program: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """A program of its environment."""
    command = [str(Path(os.environ[ASKED_FOR]) / "bin" / program), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.y*ml")), ids=lambda path: path.name)
def test_every_policy_is_one_of_cloud_custodian(path: Path) -> None:
    done = run("custodian", "validate", str(path))
    assert done.returncode == 0, done.stderr
    assert "Configuration valid" in done.stderr


def test_it_would_say_so_if_one_were_not(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    wrong = {"name": "p", "resource": "azure.disk", "filters": [{"type": "no-such-filter"}], "actions": ["delete"]}
    path.write_text(yaml.safe_dump({"policies": [wrong]}))
    assert run("custodian", "validate", str(path)).returncode != 0


def test_its_filters_say_what_ours_say() -> None:
    asked = [(matches, condition) for matches, condition in CASES if OURS_ALONE not in json.dumps(condition)]
    resource = DISK | {"tags": {name.lower(): said for name, said in DISK["tags"].items()} | {"Owner": "payments"}}
    question = {"filters": [condition for _, condition in asked], "resources": [resource]}
    done = run("python", str(Path(__file__).with_name("peer.py")), given=json.dumps(question))
    assert done.returncode == 0, done.stderr
    answers: list[list[bool]] = json.loads(done.stdout)
    differ: list[Any] = [
        (condition, answer) for (matches, condition), [answer] in zip(asked, answers, strict=True) if answer != matches
    ]
    assert len(asked) > 30
    assert differ == []
