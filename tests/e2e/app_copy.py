"""The app in a folder of its own, whose files a test may change."""

import shutil
from pathlib import Path

from local.stack import CHECKOUT

PRODUCT = ("activities", "archetypes", "orchestrators", "rules", "shared", "triggers", "function_app.py", "host.json")


def copy_app(target: Path) -> Path:
    """Copy the app there."""
    target.mkdir()
    for name in PRODUCT:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)
    return target


def replace(path: Path, old: str, new: str) -> None:
    """Change the first occurrence of a text that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
