import json
from pathlib import Path

from local.package import shipped_files
from tests.structure.product import ROOT

NEVER_SHIPPED = ("local", "tests", ".git", ".github", ".ci", ".venv", ".local", "docs")
NEEDED = ("function_app.py", "host.json", "requirements.txt")


def test_the_package_holds_the_app_and_nothing_of_its_development() -> None:
    names = {str(path.relative_to(ROOT)) for path in shipped_files()}
    assert {name for name in NEEDED if name not in names} == set()
    assert not [name for name in names if name.split("/")[0] in NEVER_SHIPPED]
    assert not {"local.settings.json", "requirements-dev.txt", "Makefile"} & names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_package_holds_the_skeletons_whole() -> None:
    skeletons = [path for path in _files_of(ROOT / "archetypes") if "skeleton" in path.parts]
    assert len(skeletons) > 20
    assert not set(skeletons) - set(shipped_files())


def _files_of(folder: Path) -> list[Path]:
    """Return the files of a folder, caches of tools left out."""
    caches = {"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis"}
    return [path for path in folder.rglob("*") if path.is_file() and not caches & set(path.parts)]


def test_local_settings_hold_no_secret() -> None:
    values = json.loads((ROOT / "local.settings.json").read_text())["Values"]
    suspicious = [name for name in values if any(word in name for word in ("PASSWORD", "TOKEN", "SECRET_VALUE"))]
    assert not suspicious
    assert "AccountKey=" not in json.dumps(values)
    assert "BEGIN" not in json.dumps(values)
