import json
import subprocess
import sys

import pytest

from tests.structure.product import ROOT

# Loads the app as the worker does, in a process of its own: what is loaded there is what a cold start pays for.
_LOAD = """
import json, sys
import function_app
print(json.dumps({
    "functions": [f.get_function_name() for f in function_app.app.get_functions()],
    "modules": sorted(sys.modules),
}))
"""


@pytest.fixture(scope="session")
def loaded_app() -> dict[str, list[str]]:
    """Names of the registered functions and of the modules that importing the app loads."""
    answer = subprocess.run([sys.executable, "-c", _LOAD], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    document: dict[str, list[str]] = json.loads(answer.stdout.splitlines()[-1])
    return document
