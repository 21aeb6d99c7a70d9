"""Programs that a hosted runner has and this machine may not: they call the vendors over HTTPS, as the real ones do."""

import sys
from pathlib import Path

PROGRAMS = ("az", "gh", "skopeo")


def install(folder: Path, attestations: Path) -> None:
    """Put the programs into a folder for the jobs' PATH; `gh` trusts the authority in the file `attestations`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        program = Path(__file__).with_name(f"{name}.py")
        more = f' "{attestations}"' if name == "gh" else ""
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}"{more} "$@"\n')
        script.chmod(0o755)
