"""What differs between an environment and its code, and what of it matters. Pure: the pipeline has compared already.

The pipeline's change set says two things: what was changed behind Terraform's back since the last apply (``drift``),
and what an apply would do now (``changes``). A finding is what an apply would put right, or an attribute that a rule
names. What is computed, is a default of the provider or is left to others by ``ignore_changes`` is in ``drift`` only.
"""

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from shared.drift_rules import DriftRules, Ignored
from shared.models.drift import Difference, DifferenceKind, DriftReport
from shared.stack_changes import has_a_name

_IDLE = ("noop", "read")
_MASK = "(sensitive)"
_LONGEST = 200

type Leaf = tuple[str, Any, Any]
type Entry = dict[str, Any]


def compare(
    change_set: dict[str, Any], rules: DriftRules, *, application: str, environment: str, today: date
) -> DriftReport:
    """Judge a change set.

    Args:
        change_set: redacted change set of the pipeline.
        rules: severities, what is harmless, what is left as it is.
        application: whose it is.
        environment: the stage.
        today: decides which entries of the ignore list have expired.
    """
    ours = [item for item in rules.ignore if item.about(application, environment)]
    valid = [item for item in ours if item.expires >= today]
    planned = {item["address"]: item for item in change_set["changes"] if item["action"] not in _IDLE}
    drifted = {item["address"]: item for item in change_set["drift"]}
    judged = [
        _of_object(planned.get(address), drifted.get(address), rules)
        for address in sorted(planned.keys() | drifted.keys())
    ]
    differing = [item for found, _ in judged for item in found]
    left = [item for item in differing if any(entry.covers(item.address, item.attribute) for entry in valid)]
    return DriftReport(
        findings=[item for item in differing if item not in left],
        ignored=left,
        harmless=sum(harmless for _, harmless in judged),
        expired=[_expired(item) for item in ours if item not in valid],
        replaces=any(item["action"] != "update" for item in planned.values()),
    )


def _expired(item: Ignored) -> str:
    what = f"{item.address} {item.attribute}".strip()
    return f"{what} was left as it is until {item.expires} ({item.owner}): remove the line from rules/drift.yaml"


def _of_object(change: Entry | None, drift: Entry | None, rules: DriftRules) -> tuple[list[Difference], int]:
    """The differences of one object that matter, and how many do not."""
    entry = change or drift or {}
    whole = _whole(change, drift)
    if whole is not None:
        grade = rules.missing if whole is DifferenceKind.MISSING else rules.named(entry["type"], "") or rules.default
        expected, actual = ("present", "absent") if entry["action"] == "create" else ("absent", "present")
        return [_difference(entry, "", whole, grade, (expected, actual))], 0
    if entry["action"] == "delete":
        return [], 1  # gone, and the code does not want it either
    behind = {path: (now, before) for path, before, now in _leaves(drift["before"], drift["after"])} if drift else {}
    wanted = {path: (now, code) for path, now, code in _planned(change)} if change else {}
    found: list[Difference] = []
    harmless = 0
    for path in sorted(behind.keys() | wanted.keys()):
        plain = _without_numbers(path)
        named = rules.named(entry["type"], plain)
        if rules.is_harmless(entry["type"], plain) or (
            path not in wanted and (named is None or _covered(path, wanted))
        ):
            harmless += 1
            continue
        actual, expected = wanted.get(path) or behind[path]
        kind = DifferenceKind.CHANGED if _covered(path, behind) else DifferenceKind.UNAPPLIED
        values = (_short(expected), _short(actual))
        found.append(_difference(entry, path, kind, named or rules.default, values))
    return found, harmless


def _whole(change: Entry | None, drift: Entry | None) -> DifferenceKind | None:
    """Whether it is about the object as a whole."""
    if change is None or change["action"] not in ("create", "delete"):
        return None
    gone = drift is not None and drift["action"] == "delete"
    return DifferenceKind.MISSING if gone else DifferenceKind.UNAPPLIED


def _planned(change: Entry) -> Iterator[Leaf]:
    """What an apply would change, known values only; a change of which nothing can be seen is one of a secret."""
    unknown = [str(path) for path in change.get("unknownPaths", [])]
    if change["before"] == change["after"] and not unknown:
        yield "", _MASK, _MASK
        return
    for path, now, code in _leaves(change["before"], change["after"]):
        if any(_within(path, other) for other in unknown) or has_a_name(change["type"], _without_numbers(path)):
            continue
        yield path, now, code


def _without_numbers(path: str) -> str:
    return re.sub(r"\[\d+\]", "", path)


def _covered(path: str, paths: dict[str, Any]) -> bool:
    """Whether the path, a part of it or what it is a part of is among the paths."""
    return any(_within(path, other) or _within(other, path) for other in paths)


def _within(path: str, other: str) -> bool:
    return path == other or path.startswith((f"{other}.", f"{other}["))


def _leaves(one: Any, other: Any, path: str = "") -> Iterator[Leaf]:
    """Attributes that differ. A list of plain values is one attribute: its order means nothing."""
    if _plain(one) == _plain(other):
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _leaves(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))
    elif _one_to_one(one, other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _leaves(left, right, f"{path}[{index}]")
    elif path.rpartition(".")[2] == "tags" and None in (one, other):
        yield from _leaves(one or {}, other or {}, path)
    else:
        yield path, one, other


def _one_to_one(one: Any, other: Any) -> bool:
    lists = isinstance(one, list) and isinstance(other, list) and len(one) == len(other)
    return lists and all(isinstance(item, dict) for item in [*one, *other])


def _plain(value: Any) -> Any:
    """A value without what Terraform and Azure take for the same: empty is null, ids have no case, lists no order."""
    if isinstance(value, dict):
        return {key: plain for key, item in value.items() if (plain := _plain(item)) is not None} or None
    if isinstance(value, list):
        return sorted((_plain(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True)) or None
    if isinstance(value, str):
        return _text(value)
    return value


def _text(value: str) -> Any:
    if value.lower().startswith("/subscriptions/"):
        return value.lower()
    if value[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    return value or None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _difference(entry: Entry, attribute: str, kind: DifferenceKind, grade: Any, values: tuple[str, str]) -> Difference:
    return Difference(
        address=entry["address"],
        type=entry["type"],
        attribute=attribute,
        kind=kind,
        severity=grade.severity,
        drift_class=grade.drift_class,
        expected=values[0],
        actual=values[1],
    )
