"""checkov over all of our Terraform: what stands says why, beside the code. For `make test-archetypes`."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infra.conftest import INFRA

ASKED_FOR = "APPSTORE_ARCHETYPE_TOOLS"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(ASKED_FOR not in os.environ, reason="checkov is installed by make test-archetypes only"),
]


def checkov(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What failed, and what was left out with a reason."""
    program = Path(os.environ[ASKED_FOR]) / "checkov" / "bin" / "checkov"
    command = [str(program), "--directory", str(folder), "--framework", "terraform", "--output", "json"]
    command += ["--skip-download", "--compact"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    results = json.loads(done.stdout)["results"]
    return results["failed_checks"], results["skipped_checks"]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("infra") / "infra"
    shutil.copytree(INFRA, folder, ignore=shutil.ignore_patterns(".terraform*", "tests", "__pycache__"))
    return checkov(folder)


def test_nothing_is_found(ours: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    assert {(item["check_id"], item["resource"], item["check_name"]) for item in ours[0]} == set()


def test_every_exception_is_still_one(ours: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    """An exception for a check that would pass, or that is gone, is taken out."""
    skipped = {(item["check_id"], Path(item["repo_file_path"]).parent.name) for item in ours[1]}
    written = {
        (check, file.parent.name)
        for file in INFRA.rglob("*.tf")
        for check in re.findall(r"#checkov:skip=(\w+):.{20,}", file.read_text(encoding="utf-8"))
    }
    assert written == skipped


def test_a_careless_vault_is_found(tmp_path: Path) -> None:
    careless = 'resource "azurerm_key_vault" "this" {\n  name = "kv"\n  purge_protection_enabled = false\n}\n'
    (tmp_path / "main.tf").write_text(careless)
    assert {"CKV_AZURE_109", "CKV_AZURE_110"} <= {item["check_id"] for item in checkov(tmp_path)[0]}
