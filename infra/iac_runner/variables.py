"""The variables of one environment: the only thing a change request may bring along."""

import json
import re
import subprocess
from pathlib import Path

from .problems import RunError

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def from_file(path: Path) -> bytes:
    """Variables from a file. Raises RunError when there are none."""
    try:
        return _checked(path.read_bytes(), path.name)
    except OSError as error:
        raise RunError("Variables missing", f"{path.name} cannot be read: {error.strerror}.") from error


def from_commit(repository: Path, commit: str, application: str, environment: str) -> bytes:
    """Variables from a commit that changes nothing else than them.

    Code always comes from the main branch; a proposal that also touches code, another application or another
    environment is refused before any of it is read.

    Raises:
        RunError: the commit is unknown, touches anything else or has no variables.
    """
    if not _COMMIT.fullmatch(commit):
        raise RunError("Commit refused", "The commit must be given as a full SHA.")
    path = f"apps/{application}/{environment}.tfvars.json"
    names = _git(repository, "diff", "--name-only", "--no-renames", "-z", f"origin/main...{commit}")
    others = sorted(set(names.decode("utf-8", "replace").split("\0")) - {"", path})
    if others:
        shown = ", ".join(others[:5])
        raise RunError("Commit refused", f"A change of {path} may touch nothing else; this one touches {shown}.")
    kind = _git(repository, "ls-tree", commit, "--", path).decode("utf-8", "replace").split(" ")[0]
    if kind not in {"100644", "100755"}:
        raise RunError("Variables missing", f"The commit {commit[:12]} has no file {path}.")
    return _checked(_git(repository, "cat-file", "blob", f"{commit}:{path}"), path)


def _checked(content: bytes, name: str) -> bytes:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise RunError("Variables unreadable", f"{name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RunError("Variables unreadable", f"{name} is not a JSON object.")
    return content


def _git(repository: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(repository), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed words and checked values
    if done.returncode:
        raise RunError("Git", done.stderr.decode("utf-8", "replace"))
    return done.stdout
