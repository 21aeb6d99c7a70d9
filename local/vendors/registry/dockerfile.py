"""The part of a Dockerfile that the registry stand-in builds: one stage on a Python base image, or files alone.

https://docs.docker.com/reference/dockerfile/
"""

import json
import posixpath
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathspec import PathSpec

REQUIREMENTS = re.compile(r"pip3? install[^&;|]*?(?:-r|--requirement)[ =](\S+)")


class BuildError(Exception):
    """The build fails; the text is for the job's log."""


@dataclass
class Image:
    """What a Dockerfile describes."""

    files: dict[str, Path] = field(default_factory=dict)  # path in the image: file of the context
    env: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    directory: str = "/"
    user: str = ""
    ports: list[str] = field(default_factory=list)
    requirements: list[str] = field(default_factory=list)
    files_only: bool = False


def build(context: Path, dockerfile: Path) -> Image:
    """Read a Dockerfile and find the files it copies.

    Raises:
        BuildError: something is missing, wrong, or more than this stand-in builds.
    """
    if not dockerfile.is_file():
        raise BuildError(f"failed to read dockerfile: open {dockerfile.name}: no such file or directory")
    image = Image()
    for word, rest in _instructions(dockerfile.read_text()):
        if word not in INSTRUCTIONS:
            raise BuildError(f"{dockerfile.name}: the local builder does not know {word}")
        INSTRUCTIONS[word](image, context, rest)
    image.command = image.entrypoint + image.command
    missing = [name for name in image.requirements if name not in image.files]
    if missing or not (image.command or image.files_only):
        raise BuildError(f"{dockerfile.name}: " + (f"{missing[0]} was not copied" if missing else "there is no CMD"))
    return image


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    pairs = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(word.upper(), rest.strip()) for word, _, rest in pairs]


def _base(image: Image, _context: Path, base: str) -> None:
    version = "{}.{}".format(*sys.version_info)
    image.files_only = base == "scratch"  # nothing to start
    if not image.files_only and not re.match(rf"(\S+/)?python:{re.escape(version)}\b(?!.* as )", base.lower()):
        raise BuildError(f"FROM {base}: the local builder has one stage on python:{version} only, or on scratch")


def _run(image: Image, _context: Path, text: str) -> None:
    """Only the installation of requirement files is done (by the cluster); the base image has the rest."""
    image.requirements += [posixpath.join(image.directory, name) for name in REQUIREMENTS.findall(text)]


def _env(image: Image, _context: Path, text: str) -> None:
    image.env |= dict(part.split("=", 1) for part in shlex.split(text))


def _workdir(image: Image, _context: Path, text: str) -> None:
    image.directory = posixpath.join(image.directory, text)


def _cmd(image: Image, _context: Path, text: str) -> None:
    image.command = _command(text)


def _entrypoint(image: Image, _context: Path, text: str) -> None:
    image.entrypoint, image.command = _command(text), []


def _expose(image: Image, _context: Path, text: str) -> None:
    image.ports += text.split()


def _user(image: Image, _context: Path, text: str) -> None:
    image.user = text


def _nothing(_image: Image, _context: Path, _text: str) -> None:
    """Says nothing about how the container runs here."""


def _command(text: str) -> list[str]:
    return [str(part) for part in json.loads(text)] if text.startswith("[") else ["/bin/sh", "-c", text]


def _copy(image: Image, context: Path, text: str) -> None:
    options = [part for part in shlex.split(text) if part.startswith("--")]
    *sources, target = [part for part in shlex.split(text) if not part.startswith("--")]
    if any(option.startswith("--from") for option in options):
        raise BuildError(f"COPY {text}: the local builder has one stage only")
    place = posixpath.join(image.directory, target)
    ignored = _ignored(context)
    for source in sources:
        found = [context] if source in (".", "./") else sorted(context.glob(source.removeprefix("./")))
        if not found:
            raise BuildError(f'failed to compute cache key: "/{source}": not found')
        for path in found:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                inside = file.relative_to(context).as_posix()
                if not file.is_file() or ignored.match_file(inside):
                    continue
                into_folder = target.endswith(("/", ".")) or len(found) > 1
                name = file.relative_to(path).as_posix() if path.is_dir() else file.name if into_folder else ""
                image.files[posixpath.normpath(posixpath.join(place, name))] = file


def _ignored(context: Path) -> PathSpec[Any]:
    """The patterns of .dockerignore; the last one that fits decides, `!` takes a file in again."""
    file = context / ".dockerignore"
    return PathSpec.from_lines("gitignore", file.read_text().splitlines() if file.is_file() else [])


INSTRUCTIONS: dict[str, Callable[[Image, Path, str], None]] = {
    "FROM": _base,
    "COPY": _copy,
    "ENV": _env,
    "WORKDIR": _workdir,
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "EXPOSE": _expose,
    "USER": _user,
    "RUN": _run,
    **dict.fromkeys(("HEALTHCHECK", "LABEL", "STOPSIGNAL", "ARG"), _nothing),
}
