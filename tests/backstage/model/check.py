"""What Backstage's own model says about entities: schemas of the kinds, formats of names, labels, tags and links."""

import json
import subprocess
from pathlib import Path
from typing import Any

from local import npm

HERE = Path(__file__).parent


def flaws(entities: list[dict[str, Any]]) -> list[str]:
    """For each entity what is wrong with it, empty when nothing is."""
    node = npm.find_node()
    packages = npm.install(node, HERE, npm.CACHE / "backstage-model")
    command = [node, str(HERE / "validate.js"), str(packages.parent)]
    done = subprocess.run(command, input=json.dumps(entities), capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    assert len(found) == len(entities)
    return found
