"""Policies of the clean-up: Cloud Custodian's files in ``rules/clean_up``, read strictly.

A file with a part that we do not know is refused as a whole, with file, policy and field: a filter that was passed over
would remove more than its author meant. Our own settings are in ``rules/clean_up.yaml``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, Field, ValidationError

from shared.clean_up_filters import DELETE, MARK_TAG, Filter, Place, Seen, UnknownPartError, filters_of, uses_mark
from shared.clean_up_kinds import KINDS, Kind, kind_named
from shared.errors import ConfigurationError
from shared.models import Model
from shared.rule_set import RULES, Stamp, stamp

FILE, FOLDER = RULES / "clean_up.yaml", RULES / "clean_up"
_TOP = frozenset({"vars", "policies"})
_TEXTS = frozenset({"description", "comment", "comments", "tags", "source", "metadata", "mode"})
_POLICY = frozenset({"name", "resource", "filters", "actions"}) | _TEXTS
_MODES = frozenset({"pull", "azure-periodic", "container-periodic"})
_ACTIONS = "mark-for-op, delete, tag"
_DAYS = 4  # what Cloud Custodian documents for a mark that says no time


class CleanUpSettings(Model):
    """Our own settings; see the comments of the file."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    sightings: int = Field(ge=1, le=100)
    grace_days: int = Field(ge=1, le=365)
    notices: list[int] = Field(min_length=1)


@dataclass(frozen=True)
class Mark:
    """How a policy marks: which tag mirrors it, and how many days pass until the removal."""

    tag: str
    days: int


@dataclass(frozen=True)
class Policy:
    """A policy.

    Attributes:
        file: name of its file.
        kind: what it is about.
        filters: which resources it means.
        mark: how it marks them; None when it does not.
        removes: whether it removes them.
        waits: whether it asks for a mark that is due; one that removes without asking marks first, with our grace.
        tags: tags that it sets.
        sightings: sweeps in a row that must have seen an orphan before it is marked.
    """

    file: str
    name: str
    kind: Kind
    filters: Filter
    mark: Mark | None
    removes: bool
    waits: bool
    tags: Mapping[str, str]
    sightings: int

    def means(self, seen: Seen) -> bool:
        """Whether the policy means this resource; raises UnreadableResourceError."""
        return seen.document.get("type", "").lower() == self.kind.type.lower() and self.filters(seen)


def clean_up_settings(path: Path | None = None) -> CleanUpSettings:
    """Our own settings, as the file is now.

    Raises:
        ConfigurationError: the file is missing or malformed.
    """
    file = path or FILE
    return _settings(file, stamp(file))


def clean_up_policies(folder: Path | None = None, settings: Path | None = None) -> tuple[Policy, ...]:
    """All policies, as the files are now, in the order of their files.

    Raises:
        ConfigurationError: a file has something that is not in our part of the language.
    """
    files = tuple(sorted((folder or FOLDER).glob("*.y*ml")))
    return _policies(tuple(stamp(file) for file in files), clean_up_settings(settings))


@lru_cache(maxsize=8)
def _settings(path: Path, _stamp: Stamp) -> CleanUpSettings:
    try:
        return CleanUpSettings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(path.name, f"not YAML: {error}") from error


_cache: dict[tuple[Stamp, ...], tuple[str, tuple[Policy, ...]]] = {}


def _policies(stamps: tuple[Stamp, ...], settings: CleanUpSettings) -> tuple[Policy, ...]:
    """Read once for each state of the files and of the settings."""
    said = settings.model_dump_json()
    known = _cache.get(stamps)
    if known is None or known[0] != said:
        found = tuple(policy for item in stamps for policy in policies_of(Path(item[0]), settings))
        _require_unique(found)
        _cache.clear()
        _cache[stamps] = known = (said, found)
    return known[1]


def policies_of(path: Path, settings: CleanUpSettings) -> list[Policy]:
    """The policies of one file.

    Raises:
        ConfigurationError: naming file, policy and field.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(path.name, f"not YAML: {error}") from error
    if not isinstance(document, Mapping) or document.keys() - _TOP or not isinstance(document.get("policies"), list):
        raise ConfigurationError(path.name, "it has `policies`, perhaps `vars`, and nothing else")
    return [
        policy
        for number, given in enumerate(document["policies"])
        for policy in _read(path.name, number, given, settings)
    ]


def _read(file: str, number: int, given: Any, settings: CleanUpSettings) -> list[Policy]:
    """One policy for each kind of resource that it names."""
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ConfigurationError(file, f"policies.{number}: a policy has a name")
    name = given["name"]
    try:
        return [_policy(file, name, kind, given, settings) for kind in _kinds(given)]
    except UnknownPartError as error:
        raise ConfigurationError(file, f"policy {name}: {error}") from error


def _kinds(given: Mapping[str, Any]) -> list[Kind]:
    named = given.get("resource")
    names = named if isinstance(named, list) else [named]
    kinds = [kind_named(str(name)) for name in names]
    if None in kinds:
        known = ", ".join(kind.name for kind in KINDS)
        raise UnknownPartError(("resource",), f"{names[kinds.index(None)]!r} is none of {known}")
    return [kind for kind in kinds if kind]


def _policy(file: str, name: str, kind: Kind, given: Mapping[str, Any], settings: CleanUpSettings) -> Policy:
    if unknown := sorted(map(str, given.keys() - _POLICY)):
        raise UnknownPartError((unknown[0],), "not in our part of the language; limits are in rules/guard.yaml")
    if (given.get("mode") or {"type": "pull"}).get("type") not in _MODES:
        raise UnknownPartError(("mode", "type"), f"a policy is swept once a day: {', '.join(sorted(_MODES))}")
    filters = given.get("filters")
    if not filters:
        raise UnknownPartError(("filters",), "a policy without a filter would mean everything")
    mark, removes, tags = _actions(given.get("actions"))
    waits = uses_mark(filters)
    if removes and not waits:
        mark = mark or Mark(MARK_TAG, settings.grace_days)
    sightings = (given.get("metadata") or {}).get("sightings", settings.sightings)
    if not isinstance(sightings, int) or sightings < 1:
        raise UnknownPartError(("metadata", "sightings"), f"{sightings!r} is no number of at least 1")
    return Policy(file, name, kind, filters_of(filters, ("filters",)), mark, removes, waits, tags, sightings)


def _actions(given: Any) -> tuple[Mark | None, bool, dict[str, str]]:
    if not isinstance(given, list) or not given:
        raise UnknownPartError(("actions",), f"a list of {_ACTIONS}")
    mark, removes, tags = None, False, dict[str, str]()
    for number, item in enumerate(given):
        place: Place = ("actions", number)
        action = {"type": item} if isinstance(item, str) else item
        kind = action.get("type") if isinstance(action, Mapping) else item
        if kind == "mark-for-op":
            mark = _mark(action, place)
        elif kind == DELETE:
            _require_known(action, {"type"}, place)
            removes = True
        elif kind == "tag":
            tags |= _tags(action, place)
        else:
            raise UnknownPartError((*place, "type"), f"{kind!r} is no action of ours: {_ACTIONS}")
    return mark, removes, tags


def _mark(action: Mapping[str, Any], place: Place) -> Mark:
    _require_known(action, {"type", "op", "tag", "days", "hours", "msg", "tz"}, place)
    if action.get("op", "stop") != DELETE:
        raise UnknownPartError((*place, "op"), "only `delete` is ours")
    days, hours = action.get("days", None if "hours" in action else _DAYS), action.get("hours", 0)
    if not all(isinstance(value, int | float) and value >= 0 for value in (days or 0, hours)):
        raise UnknownPartError((*place, "days"), "numbers of at least 0")
    # A sweep is daily: hours are made up to whole days, and never to less than one.
    whole = -(-timedelta(days=days or 0, hours=hours) // timedelta(days=1))
    return Mark(str(action.get("tag", MARK_TAG)), max(1, whole))


def _tags(action: Mapping[str, Any], place: Place) -> dict[str, str]:
    _require_known(action, {"type", "tag", "value", "tags"}, place)
    tags = dict(action.get("tags") or {})
    if "tag" in action:
        tags[str(action["tag"])] = action.get("value", "")
    if not tags or not all(isinstance(value, str) for value in tags.values()):
        raise UnknownPartError(place, "`tag` with `value`, or `tags`, as text")
    return tags


def _require_known(action: Mapping[str, Any], known: set[str], place: Place) -> None:
    if unknown := sorted(map(str, action.keys() - known)):
        raise UnknownPartError((*place, unknown[0]), "not in our part of the language")


def _require_unique(found: tuple[Policy, ...]) -> None:
    names = [(policy.name, policy.kind.name) for policy in found]
    twice = next((policy for policy in found if names.count((policy.name, policy.kind.name)) > 1), None)
    if twice:
        raise ConfigurationError(twice.file, f"policy {twice.name}: the name is used twice")
