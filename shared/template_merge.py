"""A new version of a skeleton merged into a repository that people have worked in: three ways, file by file.

The base is the skeleton as it was rendered before. What only one side changed is taken; where both changed the same
lines the markers ``<<<<<<<`` stay in the file, as git leaves them.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MARKER = "<<<<<<< "


@dataclass(frozen=True)
class Merged:
    """What the repository gets.

    Attributes:
        files: new content by path.
        removed: paths that go.
        conflicts: paths that a person has to look at.
    """

    files: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


def blob_id(content: str) -> str:
    """Git's id of a file with this content."""
    data = content.encode()
    return hashlib.sha1(b"blob %d\x00" % len(data) + data, usedforsecurity=False).hexdigest()


def both_changed(base: Mapping[str, str], ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Paths whose content has to be read, of blob ids by path: both sides changed it, and not to the same."""
    return [
        path
        for path in sorted(base.keys() | theirs.keys())
        if len({base.get(path), ours.get(path), theirs.get(path)}) == 3  # noqa: PLR2004 - three different ones
    ]


def merge(
    base: Mapping[str, str],
    ours: Mapping[str, str],
    theirs: Mapping[str, str],
    *,
    new: Mapping[str, str],
    texts: Mapping[str, tuple[str | None, str | None]],
    names: tuple[str, str],
) -> Merged:
    """Merge.

    Args:
        base: blob ids of the old skeleton by path.
        ours: blob ids of the repository by path.
        theirs: blob ids of the new skeleton by path.
        new: contents of the new skeleton by path.
        texts: base's and ours' content of the paths that ``both_changed`` names; None for a file that is not there.
        names: how the two sides are called in the markers, ours first.
    """
    merged = Merged()
    for path in sorted(base.keys() | theirs.keys()):
        if theirs.get(path) in (base.get(path), ours.get(path)):
            continue  # the new version says nothing new
        if path in texts:
            _both(merged, path, new.get(path), texts[path], names)
        elif path in new:
            merged.files[path] = new[path]
        else:
            merged.removed.append(path)
    return merged


def _both(
    merged: Merged, path: str, theirs: str | None, texts: tuple[str | None, str | None], names: tuple[str, str]
) -> None:
    """A file that both sides changed: lines are merged; one that a side took away stays as the repository has it."""
    base, ours = texts
    if theirs is None or ours is None:
        merged.conflicts.append(path)
        return
    from merge3 import Merge3  # noqa: PLC0415 - only campaigns need it

    old, left, right = (text.splitlines(keepends=True) for text in (base or "", ours, theirs))
    three = Merge3(old, left, right)
    if any(group[0] == "conflict" for group in three.merge_groups()):
        merged.conflicts.append(path)
    merged.files[path] = "".join(_whole(three.merge_lines(*names)))


def _whole(lines: Iterable[str]) -> list[str]:
    """Lines that each end where they end: a marker never follows on the last line of a file without an end."""
    found = list(lines)
    return [line if line.endswith("\n") or index == len(found) - 1 else f"{line}\n" for index, line in enumerate(found)]
