"""The product does not know that a local run exists, and the local run does not know the product."""

import re
import subprocess
from pathlib import Path

from tests.structure.product import PRODUCT, ROOT, imported, modules, relative

NAMES_LOCAL = re.compile(r"\b(?:from|import) local\b|\blocal[./](?:host|vendors|run|stack|azurite|service_bus)\b")
SHIPPED = (*PRODUCT, "archetypes", "rules", "function_app.py", "host.json", "requirements.in")
TEXT = {".py", ".yaml", ".yml", ".json", ".jinja", ".tf", ".rego", ".toml", ".in", ".md"}


def _tracked(*folders: str) -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_nothing_that_ships_names_the_local_run() -> None:
    files = [path for path in _tracked(*SHIPPED) if path.suffix in TEXT]
    assert len(files) > 20
    assert not [relative(path) for path in files if NAMES_LOCAL.search(path.read_text(encoding="utf-8"))]


def test_the_pattern_recognises_a_reference() -> None:
    assert NAMES_LOCAL.search("from local.vendors import kernel")
    assert NAMES_LOCAL.search("see local/host/README.md")
    assert not NAMES_LOCAL.search("the local part of an address; from localhost")


def test_the_local_run_imports_nothing_of_the_product() -> None:
    product = {"triggers", "orchestrators", "activities", "shared", "function_app"}
    guilty = {relative(path): found for path in modules("local") if (found := _tops(path) & product)}
    assert not guilty


def test_host_and_stand_ins_do_not_know_each_other() -> None:
    assert not [relative(path) for path in modules("local/host") if _names(path, "local.vendors")]
    assert not [relative(path) for path in modules("local/vendors") if _names(path, "local.host")]


def _tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def _names(path: Path, module: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for name in imported(path))
