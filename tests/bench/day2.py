"""`make bench-day2`: tag policies, events and throttled writes, each beside something else in the same run.

Everything runs on this machine: the stand-in for Azure shares its processors, so seconds are told beside processor
seconds, and what counts are the ratios.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp.connector

from local.sign_in import identity_token
from local.stack import Stack
from tests.bench import c7n_tags, events, resource_pages, throttled_writes

ARM = "https://management.azure.com"
CASES = ((20, 100_000, 4.0, 120.0), (1, 10_000, 0.6, 120.0))  # policies, resources, seconds and MB that are aimed at
EVENTS = 150  # a second
PARTS = ("tags", "writes", "events")


def tags(stack: Stack, folder: Path) -> None:
    """Print how long tag policies take: ours, the floor, and Cloud Custodian."""
    environment = _environment(stack)
    reason = c7n_tags.installed()
    say(f"{'tag policies':24}{'policies':>9}{'resources':>11}{'seconds':>9}{'CPU s':>8}{'MB':>7}{'found':>9}")
    for policies, count, seconds, memory in CASES:
        resource_pages.serve(stack, count)
        figures = {name: _contender(name, policies, environment) for name in ("floor", "ours")}
        if not reason:
            token = identity_token(stack, ARM)
            figures["c7n"] = c7n_tags.run(environment, token, policies, folder / f"c7n-{count}")
        for name, one in figures.items():
            cells = f"{one['seconds']:9.2f}{one['cpu']:8.2f}{one['memory']:7.0f}{one['found']:9.0f}"
            say(f"{name:24}{policies:9}{count:11}{cells}")
        own = figures["ours"]
        for name in figures.keys() - {"ours"}:
            times, cpu = figures[name]["seconds"] / own["seconds"], figures[name]["cpu"] / own["cpu"]
            say(f"{'':24}{name} takes {times:.2f} times as long as ours, and {cpu:.2f} times its CPU")
        fast, small = met(own["seconds"] <= seconds), met(own["memory"] <= memory)
        say(f"{'':24}aim of ours: {seconds} s: {fast}; {memory:.0f} MB: {small}")
        say(f"{'':24}(of ours, {own['before']:.0f} MB are the app after its first call)")
    if reason:
        say(f"c7n could not be installed: {reason}")
    stack.vendors_admin("DELETE", "faults")


def writes(stack: Stack) -> None:
    """Print how 600 writes go against 200 and 10 a second."""
    say(f"\n{'600 writes':28}{'seconds':>9}{'of ideal':>9}{'429':>6}{'lost':>6}")
    for one in throttled_writes.measured(stack):
        say(f"{one.who:28}{one.seconds:9.1f}{one.seconds / throttled_writes.IDEAL:9.2f}{one.refused:6}{one.lost:6}")
    say(f"{'':28}aim: 41.5 s, at most 3 times 429, none lost; ideal {throttled_writes.IDEAL:.0f} s")


def happened(stack: Stack) -> None:
    """Print how many events are taken in and handled in a second."""
    say(f"\n{'events':24}{'events':>8}{'seconds':>9}{'a second':>9}{'CPU s':>7}{'a CPU s':>9}{'reads each':>11}")
    found = events.measured(stack)
    for one in found:
        cells = f"{one.count:8}{one.seconds:9.1f}{one.count / one.seconds:9.1f}{one.cpu:7.1f}{one.count / one.cpu:9.1f}"
        say(f"{one.what:24}{cells}{one.reads / one.count:11.3f}")
    _, ended, again = found
    reached = ended.count / ended.seconds
    say(f"{'':24}operations: {ended.operations} for {ended.count} events")
    say(f"{'':24}aim: 150 a second: {reached / EVENTS:.2f} of it, {met(reached >= EVENTS)}")
    say(f"{'':24}aim: at most 1 read each: {met(ended.reads <= ended.count)}; 0 for duplicates: {met(not again.reads)}")
    cores = os.process_cpu_count() or 1
    say(f"{'':24}({ended.cpu / ended.seconds:.2f} of {cores} processors were ours, stand-ins and Azurite included)")


def _environment(stack: Stack) -> dict[str, str]:
    return stack.product_environment() | {"SSL_CERT_FILE": str(stack.directory / "ca" / "ca.pem")}


def _contender(name: str, policies: int, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.tag_policies", name, str(policies)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def met(reached: bool) -> str:
    return "met" if reached else "NOT met"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS))
    wanted = parser.parse_args().parts.split(",")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or the processes of the run would stay behind
    with TemporaryDirectory(prefix="appstore-bench-") as text:
        folder = Path(text)
        with Stack(folder / "stack") as stack:
            os.environ.update(_environment(stack))
            # aiohttp makes its trust at import, long before the authority of this run exists.
            aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(str(stack.ca_bundle))
            if "tags" in wanted:
                tags(stack, folder)
            if "writes" in wanted:
                writes(stack)
            if "events" in wanted:
                happened(stack)


if __name__ == "__main__":
    main()
