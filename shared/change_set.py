"""Comparing two change sets of one environment: is what is left to do part of what was approved?

An apply that broke off has made some objects. The plan that is made anew then holds the rest, with values in place of
what was unknown before. It needs no second approval as long as it does nothing that was not approved.
"""

import re
from collections.abc import Iterator
from typing import Any

_ABSENT = object()
_IDLE = ("noop", "read")


def deviations(approved: dict[str, Any], again: dict[str, Any]) -> list[str]:
    """What the new change set does beyond the approved one, a sentence each; empty when it is covered.

    Args:
        approved: redacted change set that was approved.
        again: redacted change set of the same variables, made later.
    """
    known = {item["address"]: item for item in approved["changes"]}
    found: list[str] = []
    for item in again["changes"]:
        if item["action"] in _IDLE:
            continue
        before = known.get(item["address"])
        if before is None or (before["type"], before["action"]) != (item["type"], item["action"]):
            found.append(f"{item['address']}: {item['action']} was not approved")
        else:
            found += [f"{item['address']}: {path} differs" for path in _differing(before, item)]
    return found


def _differing(before: dict[str, Any], item: dict[str, Any]) -> list[str]:
    """Paths whose value was known when it was approved, and is another one now."""
    unknown = [str(path) for path in before.get("unknownPaths", [])]
    old, new = dict(_leaves(before.get("after"))), dict(_leaves(item.get("after")))
    paths = sorted(old.keys() | new.keys())
    return [
        path
        for path in paths
        if not _within(path, unknown) and not _same(old.get(path, _ABSENT), new.get(path, _ABSENT))
    ]


def _same(old: Any, new: Any) -> bool:
    """Null and absent are the same in Terraform."""
    return (None if old is _ABSENT else old) == (None if new is _ABSENT else new)


def _within(path: str, unknown: list[str]) -> bool:
    return any(path == other or re.match(rf"{re.escape(other)}[.\[]", path) for other in unknown)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    elif path and value not in ({}, []):
        yield path, value
