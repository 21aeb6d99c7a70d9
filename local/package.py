"""`make test-package`: build the zip by .funcignore, unpack it elsewhere, install only requirements.txt, run it.

The Functions host is the checkout's, run by the package's own interpreter, which has the product's packages and those
that the host itself needs and nothing else of the project.
"""

import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pathspec

from local.processes import LocalRunError
from local.run.story import Story
from local.run.terminal import Terminal
from local.stack import CHECKOUT, Stack

PACKAGE = CHECKOUT / "dist" / "appstore.zip"
LARGEST = 20 * 1024 * 1024
HOST_ONLY = ("azure-functions-runtime",)


def shipped_files() -> list[Path]:
    """Return the files that `func azure functionapp publish` would send: the tree without what .funcignore names."""
    spec = pathspec.GitIgnoreSpec.from_lines((CHECKOUT / ".funcignore").read_text().splitlines())
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [CHECKOUT / name for name in sorted(names) if (CHECKOUT / name).is_file() and not spec.match_file(name)]


def build() -> Path:
    """Write the deployment package; the same tree gives the same bytes."""
    PACKAGE.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(PACKAGE, "w", zipfile.ZIP_DEFLATED) as package:
        for path in shipped_files():
            entry = zipfile.ZipInfo(str(path.relative_to(CHECKOUT)), (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            package.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return PACKAGE


def install(folder: Path) -> str:
    """Make an environment with the locked packages of the product, and the worker library the platform brings."""
    uv, python = str(CHECKOUT / ".venv/bin/uv"), str(folder / "venv/bin/python")
    target = ["--quiet", "--system-certs", "--python", python]
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    subprocess.run([uv, "pip", "sync", *target, "--require-hashes", str(folder / "app/requirements.txt")], check=True)
    worker = ["--constraint", str(CHECKOUT / "local/requirements.txt"), "--no-deps", *HOST_ONLY]
    subprocess.run([uv, "pip", "install", *target, *worker, "azurefunctions-extensions-base"], check=True)
    return python


def main() -> int:
    """Build, unpack, install, run; 0 when the unpacked app takes a request to its end."""
    started = time.monotonic()
    package = build()
    print(f"package   {package.relative_to(CHECKOUT)}   {package.stat().st_size / 1024:.0f} KiB")
    if package.stat().st_size > LARGEST:
        sys.stderr.write(
            f"The package is larger than {LARGEST} bytes: name what does not belong there in .funcignore.\n"
        )
        return 1
    with tempfile.TemporaryDirectory(prefix="appstore-package-") as name:
        folder = Path(name)
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder / "app")
        python = install(folder)
        print(f"installed requirements.txt   {time.monotonic() - started:.1f} s")
        code = _run(Stack(folder / "state", root=folder / "app", python=python))
    print(f"test-package {'passed' if code == 0 else 'failed'}   {time.monotonic() - started:.1f} s")
    return code


def _run(stack: Stack) -> int:
    try:
        with stack:
            return 0 if Story(stack, Terminal(), "package-api").tell() else 1
    except LocalRunError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
