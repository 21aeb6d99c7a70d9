"""`make run [NAME=payments-api] [PORT=7071]`: start everything, tell the story, stay up until Ctrl-C."""

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import httpx

from local import azurite
from local.ports import holder
from local.processes import LocalRunError, wait_until
from local.run.check import lines
from local.run.story import Story, StoryError
from local.run.terminal import Terminal
from local.stack import HOST_PORT, VENDORS_PORT, Stack, local_directory
from local.versions import azurite_version, terraform_version

_FIRST_PORT, _LAST_PORT = 1024, 65535


def main() -> int:
    """Run it; the code is 0 when the application runs, 1 when it does not."""
    options = _options()
    terminal = Terminal()
    stack = Stack(local_directory(), host_port=options.port, vendors_port=VENDORS_PORT)
    if not azurite.INSTALLATION.exists():
        terminal.fact("setup", "azurite from npm, the schema of azurerm from PyPI (once)")
    try:
        with _stop_signals(), stack:
            return _run(stack, terminal, options)
    except LocalRunError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        terminal.blank()
        terminal.fact("stopped", f"state kept in {stack.directory}; `make run` carries on")
        return 0


def _run(stack: Stack, terminal: Terminal, options: argparse.Namespace) -> int:
    _introduce(stack, terminal, options.port)
    succeeded = _tell(stack, terminal, options.name)
    if options.once or stack.ended():
        return 0 if succeeded else 1
    terminal.fact("running", "Ctrl-C stops it and keeps its state")
    while not stack.ended():
        time.sleep(0.3)
    _report_end(stack, terminal)
    return 1


def _tell(stack: Stack, terminal: Terminal, name: str) -> bool:
    story = Story(stack, terminal, name)
    try:
        succeeded = story.tell()
    except (StoryError, httpx.HTTPError) as error:
        # A host that was killed refuses the connection a moment before its end is seen.
        if not wait_until(lambda: stack.ended() is not None, 1):
            terminal.fact("FAILED", f"{type(error).__name__}: {error}" * bool(str(error)) or type(error).__name__)
            return False
        _report_end(stack, terminal)
        return False
    if succeeded:
        for line in lines(stack, story.request):
            terminal.fact("", line)
    return succeeded


def _report_end(stack: Stack, terminal: Terminal) -> None:
    process = stack.ended()
    if process is None:
        return
    code = process.return_code or 0
    how = f"was killed (signal {-code})" if code < 0 else f"ended with code {code}, see {process.log}"
    terminal.fact(process.name, f"{how}; state kept in {stack.directory}; `make run` carries on")


def _introduce(stack: Stack, terminal: Terminal, wished: int) -> None:
    versions = f"python {platform.python_version()}, terraform {terraform_version()}, azurite {azurite_version()}"
    terminal.fact("ready", f"{versions:<70} {terminal.elapsed:5.1f} s")
    for sentence in taken(stack, wished):
        terminal.fact("port", sentence)
    terminal.fact("REAL", "this app as deployed, Terraform, git, Rego, the generated service itself")
    stand_in = f"https://localhost:{stack.vendors_port}"
    terminal.fact(
        "STAND-IN", f"Azure, GitHub, ServiceNow, Grafana, Backstage, Teams  {stand_in}   journal: /_vendors/journal"
    )
    terminal.fact(
        "host",
        f"http://localhost:{stack.host_port}   pid {stack.host_pid}   "
        "kill -9 it while you watch, then `make run`: it carries on",
    )


def taken(stack: Stack, host_port: int = HOST_PORT) -> Iterator[str]:
    """A sentence for each wished port that somebody else has."""
    for name, wished, has in (("host", host_port, stack.host_port), ("vendors", VENDORS_PORT, stack.vendors_port)):
        if wished != has:
            who = f"{wished} is in use by {holder(wished)}"
            other = ", or choose another one with PORT=" if name == "host" else ""
            yield f"{who}: {name} listens on {has}; stop that program to have {wished}{other}"


def port(text: str) -> int:
    """A port that a program of anybody may have."""
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not _FIRST_PORT <= number <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from {_FIRST_PORT} to {_LAST_PORT}")
    return number


@contextmanager
def _stop_signals() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--name", default="payments-api", help="name of the application to order")
    parser.add_argument("--port", type=port, default=HOST_PORT, help="port of the host; another one if it is taken")
    parser.add_argument("--once", action="store_true", default=os.environ.get("RUN_ONCE") == "1")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
