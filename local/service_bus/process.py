"""The broker as one process of the local run."""

import sys
from pathlib import Path

from local.processes import Process, plain_environment

_CHECKOUT = Path(__file__).resolve().parents[2]


def process(data: Path, port: int, ready: Path, log: Path) -> Process:
    """The process; it says that it is ready by writing its port."""
    command = [sys.executable, "-m", "local.service_bus", "--config", str(_CHECKOUT / "infra" / "servicebus.json")]
    command += ["--data", str(data), "--port", str(port), "--ready-file", str(ready)]
    return Process("service_bus", command, plain_environment(), _CHECKOUT, log)
