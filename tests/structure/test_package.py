import json

from local.package import shipped_files
from tests.structure.product import ROOT

NEVER_SHIPPED = ("local", "tests", ".git", ".github", ".ci", ".venv", ".local", "docs")
NEEDED = ("function_app.py", "host.json", "requirements.txt")


def test_the_package_holds_the_app_and_nothing_of_its_development() -> None:
    names = {str(path.relative_to(ROOT)) for path in shipped_files()}
    assert {name for name in NEEDED if name not in names} == set()
    assert not [name for name in names if name.split("/")[0] in NEVER_SHIPPED]
    assert not [name for name in names if name.endswith((".pyc", "local.settings.json", "requirements-dev.txt"))]


def test_local_settings_hold_no_secret() -> None:
    values = json.loads((ROOT / "local.settings.json").read_text())["Values"]
    suspicious = [name for name in values if any(word in name for word in ("PASSWORD", "TOKEN", "SECRET_VALUE"))]
    assert not suspicious
    assert "AccountKey=" not in json.dumps(values)
    assert "BEGIN" not in json.dumps(values)
