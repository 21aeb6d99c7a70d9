"""Start the stand-ins: `python -m local.vendors --data .local`."""

import argparse
import asyncio
import fcntl
import importlib
import json
import logging
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from .kernel import Kernel, PortTakenError, Vendor

# The stand-ins in the order of their start. A new one is a package next to these, with `build(kernel) -> Vendor`.
STAND_INS = (
    "entra",
    "microsoft_graph",
    "storage",
    "key_vault",
    "service_bus_namespaces",
    "arm",
    "event_grid",
    "monitor_alerts",
    "azurerm",
    "actions",
    "github",
    "github_saml",
    "github_projects",
    "github_evidence",
    "github_attestations",
    "github_issues",
    "kubernetes",
    "aks_commands",
    "automation",
    "static_sites",
    "policy_insights",
    "registry",
    "servicenow",
    "grafana",
    "teams",
    "slack",
    "backstage",
    "azure_boards",
    "retail_prices",
    "cost_management",
    "resource_graph",
    "pages",
)


def main() -> int:
    """Run until SIGTERM or SIGINT; 1 with a sentence when the folder or the port is taken."""
    options = _options()
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    options.data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        lock = stack.enter_context((options.data / "vendors.lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _refuse(f"stand-ins already run on {options.data}: stop them or choose another --data")
        try:
            asyncio.run(_serve(options))
        except PortTakenError as error:
            return _refuse(str(error))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    upstreams = {"azurite-blob": options.azurite_blob, "azurite-table": options.azurite_table}
    kernel = Kernel(options.data.resolve(), {name: url for name, url in upstreams.items() if url}, options.port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await kernel.start(_stand_ins(kernel))
        _say_ready(kernel, options.ready_file)
        await stop.wait()
    finally:
        await kernel.stop()


def _stand_ins(kernel: Kernel) -> list[Vendor]:
    return [importlib.import_module(f"{__package__}.{name}").build(kernel) for name in STAND_INS]


def _say_ready(kernel: Kernel, file: Path | None) -> None:
    ready = {"pid": os.getpid(), "port": kernel.port, "proxy": kernel.proxy_url, "ca_bundle": str(kernel.ca_bundle)}
    text = json.dumps(ready | {"environment": kernel.child_environment()})
    if file is not None:
        draft = file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(file)
    logging.getLogger("local.vendors").info("ready %s", kernel.proxy_url)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.vendors", description="Stand-ins for the vendors' APIs")
    parser.add_argument("--data", type=Path, required=True, help="folder of the local run; holds ca/ and vendors/")
    parser.add_argument("--port", type=int, default=7443, help="the one port; 0 takes a free one")
    parser.add_argument("--azurite-blob", help="https://127.0.0.1:<port> of Azurite's blob service")
    parser.add_argument("--azurite-table", help="https://127.0.0.1:<port> of Azurite's table service")
    parser.add_argument("--ready-file", type=Path, help="written (JSON) when every stand-in has started")
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))
    return parser.parse_args()


def _refuse(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
