"""Programs that a hosted runner has and this machine may not: they call the vendors over HTTPS, as the real ones do."""

import sys
from pathlib import Path

PROGRAMS = {"az": "az.py", "docker": "images.py", "gh": "gh.py", "skopeo": "images.py"}


def install(folder: Path, attestations: Path) -> None:
    """Put the programs into a folder for the jobs' PATH; `gh` trusts the authority in the file `attestations`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in PROGRAMS.items():
        program = Path(__file__).with_name(file)
        more = {"gh": f' "{attestations}"', "docker": " docker", "skopeo": " skopeo"}.get(name, "")
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}"{more} "$@"\n')
        script.chmod(0o755)
