"""Cloud Custodian over the same estate, in a virtual environment of its own: it shares nothing with the product."""

import json
import os
import subprocess
import time
from pathlib import Path

from local.stack import CHECKOUT
from tests.bench.processes import peak_memory
from tests.bench.resource_pages import RIGHT, SUBSCRIPTION, TAGS

_FOLDER = CHECKOUT / ".local" / "cache" / "custodian"
_INSTALL = CHECKOUT / "tests" / "custodian" / "install.sh"


def installed() -> str:
    """Install it as `make test-custodian` does, unless it is there; why it cannot be, or nothing."""
    done = subprocess.run([str(_INSTALL)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip()[-300:] or "no reason given"


def run(environment: dict[str, str], token: str, policies: int, folder: Path) -> dict[str, float]:
    """One run of the command line; seconds and memory of the whole process, and how many tags it found lacking."""
    folder.mkdir()
    wanted = [
        {
            "name": f"policy-{number}",
            "resource": "azure.armresource",
            "filters": [{"type": "value", "key": f"tag:{TAGS[number]}", "value": RIGHT, "op": "ne"}],
        }
        for number in range(policies)
    ]
    (folder / "policies.json").write_text(json.dumps({"policies": wanted}))
    command = [_FOLDER / "bin" / "custodian", "run", "--output-dir", folder / "out", folder / "policies.json"]
    began = time.perf_counter()
    pid = os.posix_spawn(str(command[0]), list(map(str, command)), _told(environment, token, folder))
    ended = memory = 0.0
    while not ended:
        memory = max(memory, peak_memory(pid))
        time.sleep(0.02)
        ended, status, spent = os.wait4(pid, os.WNOHANG)
    if status:
        raise RuntimeError(f"custodian ended with {os.waitstatus_to_exitcode(status)}")
    found = sum(len(json.loads(path.read_text())) for path in (folder / "out").glob("*/resources.json"))
    seconds, cpu = time.perf_counter() - began, spent.ru_utime + spent.ru_stime
    return {"seconds": seconds, "cpu": cpu, "memory": memory, "found": found}


def _told(environment: dict[str, str], token: str, folder: Path) -> dict[str, str]:
    """Its own settings instead of the product's."""
    azure = {"AZURE_ACCESS_TOKEN": token, "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION, "HOME": str(folder)}
    kept = {name: value for name, value in environment.items() if not name.startswith("AZURE_")}
    return kept | azure
