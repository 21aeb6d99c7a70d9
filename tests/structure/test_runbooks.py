"""Runbooks as source: the rules name them, infra/automation has them, and Azure's Python understands them."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from shared.models.day2_alerts import Response
from tests.structure.product import ROOT

FOLDER = ROOT / "infra" / "automation" / "runbooks"
FILES = sorted(FOLDER.glob("[a-z]*.py"))
STANDARD = {"collections", "datetime", "email", "functools", "json", "os", "sys", "time", "typing", "urllib"}


def _named() -> set[str]:
    rows = [row for file in (ROOT / "rules" / "responses").glob("*.yaml") for row in _rows(file.read_text())]
    return {response.action.runbook for response in rows if response.action.kind == "start-runbook"}


def _rows(text: str) -> list[Response]:
    return [Response.model_validate(row) for row in yaml.safe_load(text)["responses"]]


def test_every_runbook_is_named_by_a_rule_and_every_name_is_a_runbook() -> None:
    assert {file.stem.replace("_", "-") for file in FILES} == _named()
    assert len(FILES) > 1


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_runbook_stands_alone_in_python_3_10(file: Path) -> None:
    source = file.read_text()
    tree = ast.parse(source, feature_version=(3, 10))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert imported <= STANDARD
    assert "from datetime import UTC" not in source, "Python 3.11 has it first"
    assert len(source.encode()) < 1_000_000, "more than Azure takes"
    assert len((ast.get_docstring(tree) or "").partition("\n")[0]) > 20, "its first line describes it in the account"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_identity_may_do_what_a_runbook_does(file: Path) -> None:
    """The role of main.tf is the list of what the runbooks call: a POST has its action there."""
    role = (ROOT / "infra" / "automation" / "main.tf").read_text()
    verbs = re.findall(r'call\("POST", f"\{ARM\}\{\w+\}/(\w+)\?', file.read_text())
    assert verbs or "POST" not in file.read_text()
    assert [verb for verb in verbs if f"/{verb}/action" not in role] == []
