"""The documentation tells what the code is: complete, up to date, and without links into nothing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import function_app  # noqa: F401 - importing registers the operations
from docs.generate import pages
from orchestrators._day2 import OPERATIONS
from shared.archetypes import Archetype, BoardTemplate, PlannedObject, WorkItem
from shared.configuration import settings_classes, settings_of, wrong
from tests.structure.product import ROOT, modules, relative, tree
from triggers._http import ENDPOINTS

WRITTEN = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
ENVIRONMENT = re.compile(r"(?:environ(?:ment)?(?:\.get\(|\[)|_variable\()\s*[\"']([A-Z][A-Z0-9_]+)[\"']")
OF_EVERY_SYSTEM = {"PATH"}


def _documents() -> list[Path]:
    others = [*sorted((ROOT / "local").glob("**/README.md")), *sorted((ROOT / "infra").glob("**/README.md"))]
    return [*(ROOT / name for name in WRITTEN), *sorted((ROOT / "docs").rglob("*.md")), *others]


def _text(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def _anchors(path: Path) -> set[str]:
    """Anchors of the headings as GitHub makes them."""
    text = CODE_BLOCK.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def _broken(path: Path) -> Iterator[str]:
    for link in LINK.findall(CODE_BLOCK.sub("", path.read_text(encoding="utf-8"))):
        place, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (path.parent / place).resolve() if place else path
        wanted = anchor if target.suffix == ".md" else ""
        if not target.exists() or (wanted and wanted not in _anchors(target)):
            yield link


@pytest.mark.parametrize("path", _documents(), ids=relative)
def test_no_link_leads_nowhere(path: Path) -> None:
    assert list(_broken(path)) == []


def test_a_broken_link_is_recognised(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n[a](#a-title) [b](#other) [c](missing.md) [d](page.md#a-title)\n")
    assert list(_broken(page)) == ["#other", "missing.md"]


@pytest.mark.parametrize("path", pages(), ids=relative)
def test_generated_parts_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == pages()[path], "run make docs"


def test_every_generated_page_is_there() -> None:
    assert {path.name for path in pages()} >= {
        "api.md",
        "architecture.md",
        "authorisation.md",
        "archetypes.md",
        "configuration.md",
        "policies.md",
    }


def test_every_setting_is_described_and_documented() -> None:
    text = _text("docs", "configuration.md")
    settings = [setting for kind in settings_classes() for setting in settings_of(kind)]
    assert len(settings) > 10
    assert [setting.variable for setting in settings if not setting.description] == []
    assert [setting.variable for setting in settings if f"`{setting.variable}`" not in text] == []


def test_every_variable_that_is_read_directly_is_documented() -> None:
    text = _text("docs", "configuration.md")
    read = {name for path in modules() for name in ENVIRONMENT.findall(path.read_text(encoding="utf-8"))}
    assert {"AZURE_CLIENT_ID", "IAC_STATE_ACCOUNT"} <= read
    assert {name for name in read - OF_EVERY_SYSTEM if f"`{name}`" not in text} == set()


def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = next(found for found in settings_classes() if found.__name__ == "AppStoreSettings")
    monkeypatch.delenv("APPSTORE_STORAGE_ACCOUNT", raising=False)
    monkeypatch.setenv("APPSTORE_POLL_SECONDS", "s3cret")
    found = wrong(kind)
    assert set(found) == {"APPSTORE_STORAGE_ACCOUNT", "APPSTORE_POLL_SECONDS"}
    assert "s3cret" not in str(found)


def test_every_route_is_documented() -> None:
    text = _text("docs", "api.md")
    assert len(ENDPOINTS) > 10
    assert [item.path for item in ENDPOINTS if f"### `{item.method} /api/{item.path}`" not in text] == []


def test_every_field_of_an_archetype_is_documented() -> None:
    text = _text("docs", "archetypes.md")
    kinds = (Archetype, PlannedObject, BoardTemplate, WorkItem)
    fields = [field.alias or name for kind in kinds for name, field in kind.model_fields.items()]
    assert [name for name in fields if f"| `{name}` |" not in text] == []


def _codes(path: Path) -> Iterator[str]:
    """Problem codes that a module uses: of errors, of problems, and of the error classes."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "code":
                    yield ast.literal_eval(line.value)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            candidates = node.args[:1] if name in ("RequestRejectedError", "_bad") else []
            candidates += [word.value for word in node.keywords if name == "Problem" and word.arg == "code"]
            for value in candidates:
                if isinstance(value, ast.Constant) and re.fullmatch(r"[a-z]+(-[a-z]+)*", str(value.value)):
                    yield str(value.value)


def test_every_problem_code_is_explained() -> None:
    text = _text("docs", "operations.md")
    codes = {code for path in modules("triggers", "orchestrators", "activities", "shared") for code in _codes(path)}
    assert {"plan-changed", "integration-conflict", "pipeline-lost"} <= codes
    assert {code for code in codes if f"`{code}`" not in text} == set()


def test_every_operation_has_a_runbook() -> None:
    rows = [line for line in _text("docs", "runbooks", "README.md").splitlines() if line.startswith("| `")]
    with_runbook = {name for row in rows if LINK.search(row) for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    assert set(OPERATIONS) == with_runbook


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", _text("Makefile"), re.MULTILINE))
    named = {
        (relative(path), name)
        for path in _documents()
        for line in path.read_text(encoding="utf-8").splitlines()
        for name in re.findall(r"(?:^|`)make ([a-z][a-z0-9-]*)", line)
    }
    assert ("README.md", "run") in named
    assert {item for item in named if item[1] not in targets} == set()


def test_every_decision_is_in_the_index() -> None:
    records = sorted(path.name for path in (ROOT / "docs" / "adr").glob("0*.md"))
    index = _text("docs", "adr", "README.md")
    assert len({name[:4] for name in records}) == len(records) > 5
    assert [name for name in records if f"]({name})" not in index] == []


def test_the_documentation_names_no_place_of_one_machine() -> None:
    private = re.compile(r"/(home|work|Users|tmp)/")
    assert [relative(path) for path in _documents() if private.search(path.read_text(encoding="utf-8"))] == []
