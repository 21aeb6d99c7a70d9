"""`python -m local.host --root <app> --port 7071 --data <folder>`: runs a function_app.py."""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from local.host.application import Options, serve
from local.host.errors import HostError


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m local.host", description=__doc__)
    parser.add_argument("--root", type=_path, required=True, help="folder of function_app.py and host.json")
    parser.add_argument("--data", type=_path, required=True, help="folder of the durable state and the keys")
    parser.add_argument("--port", type=int, default=7071, help="0 takes a free one")
    parser.add_argument("--rpc-port", type=int, default=0, help="loopback port of the durable SDK; 0 takes a free one")
    parser.add_argument("--log", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    parser.add_argument("--auth", action="store_true", help="ask for keys, as Azure does")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds running activities get at a stop")
    parser.add_argument("--ready-file", type=_path, help="written as JSON when the host answers")
    return Options(**vars(parser.parse_args()))


def _path(text: str) -> Path:
    return Path(text).absolute()


@contextlib.contextmanager
def _only_host(data: Path) -> Iterator[None]:
    """Hold the data folder; raises HostError while another host has it."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "host.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise HostError(
                f"Another host (pid {lock.read().strip()}) uses {data}: stop it or choose another --data."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def main() -> int:
    options = _options()
    logging.basicConfig(level=options.log, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    try:
        with _only_host(options.data):
            asyncio.run(serve(options))
    except HostError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
