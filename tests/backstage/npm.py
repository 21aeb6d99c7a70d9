"""Packages from npm by a lock file, installed once below .local/cache."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from local.azurite import find_node
from local.processes import LocalRunError
from local.stack import CHECKOUT

CACHE = CHECKOUT / ".local" / "cache"


def find_npm() -> tuple[str, str]:
    """npm, and the PATH on which it finds its Node.js; ("", "") when there is none."""
    try:
        path = f"{Path(find_node()).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    except LocalRunError:
        return "", ""
    npm = shutil.which("npm", path=path)
    return (npm, path) if npm else ("", "")


def install(manifest: Path, name: str) -> Path:
    """Install what the lock file in a folder names unless that is done; return where. npm compares the digests.

    Raises:
        LocalRunError: npm is missing or failed.
    """
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (manifest / "package-lock.json").read_text()
        stamp = folder / "installed.json"
        if not stamp.exists() or stamp.read_text() != wanted:
            stamp.unlink(missing_ok=True)
            for file in ("package.json", "package-lock.json"):
                shutil.copy(manifest / file, folder)
            _npm_ci(folder)
            stamp.write_text(wanted)
    return folder


def _npm_ci(folder: Path) -> None:
    npm, path = find_npm()
    if not npm:
        raise LocalRunError("Backstage comes from npm, which was not found: install Node.js 20 or newer with npm.")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    environment = dict(os.environ) | {"PATH": path}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LocalRunError(f"npm could not install {folder.name}: {done.stderr.strip()[-2000:]}")
