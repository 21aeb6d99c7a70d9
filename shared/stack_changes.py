"""The change set of a deployment stack, in the words that the rules and the approvers know from Terraform's.

A what-if names Azure's types and properties. Rules are written once, about azurerm's: ``stack_changes.json`` says which
type, attribute and address of Terraform each of them is. What Azure cannot predict counts as unknown.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from shared.errors import PermanentIntegrationError, VendorCall

type Document = dict[str, Any]

MASK = "(sensitive)"
_ACTIONS = {
    "create": "create",
    "modify": "update",
    "nochange": "noop",
    "delete": "delete",
    "detach": "delete",
    "unsupported": "update",  # nobody knows; `certainty` says so
}
_SECRET = re.compile(r"(password|secret|connectionstring|accesskey|sastoken)$", re.IGNORECASE)
_NOT_SHOWN = frozenset({"id", "type", "systemData", "etag", "eTag"})


@cache
def _vocabulary() -> Document:
    found: Document = json.loads(Path(__file__).with_name("stack_changes.json").read_text(encoding="utf-8"))
    return found


def change_set(changes: list[Document], tool_version: str) -> Document:
    """The change set of what-if's resource changes.

    Raises:
        PermanentIntegrationError: a kind of change without a place in a change set.
    """
    found = sorted((_change(item) for item in changes), key=lambda item: str(item["address"]))
    counted = dict.fromkeys(("create", "update", "replace", "delete", "noop"), 0)
    for item in found:
        counted[item["action"]] += 1
    return {
        "engine": "deployment_stack",
        "toolVersion": tool_version,
        "summary": counted,
        "changes": found,
        "drift": [],
        "outputs": {},
    }


def _change(item: Document) -> Document:
    kind, reported = str(item.get("type") or ""), str(item["changeType"]).lower()
    if reported not in _ACTIONS:
        call = VendorCall("azure deployment stacks", "read what-if changes")
        raise PermanentIntegrationError(call, f"{item.get('id')}: {reported} has no place in a change set")
    configuration = item.get("resourceConfigurationChanges") or {}
    before, after = configuration.get("before"), configuration.get("after")
    if before and after:
        before = _part(before, after)
    unsupported = reported == "unsupported"
    words = _vocabulary()["types"].get(kind.lower(), {"type": kind or "unknown", "attributes": {}})
    return {
        "address": _address(kind, str(item.get("id") or ""), after or before or {}),
        "type": words["type"],
        "action": _ACTIONS[reported],
        "before": _said(before, words["attributes"]),
        "after": {} if unsupported else _said(after, words["attributes"]),
        "unknownPaths": [""] if unsupported else sorted(_unknown(after, words["attributes"])),
        "replacePaths": [],
        "certainty": "unknown" if unsupported else str(item.get("changeCertainty") or "potential"),
    }


def _part(there: Any, wanted: Any) -> Any:
    """Of a resource only what the template says something about: what Azure computes is no difference."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        return {key: _part(there[key], wanted[key]) for key in wanted if key in there}
    return there


def _address(kind: str, identity: str, resource: Document) -> str:
    """Terraform's address of the resource; its id when the vocabulary has none."""
    facts = {"id": identity, "role": _role(resource)}
    for entry in _vocabulary()["addresses"]:
        fits = all(re.search(pattern, facts[name] or "") for name, pattern in entry.get("where", {}).items())
        if entry["type"].lower() == kind.lower() and fits:
            return str(entry["address"])
    return identity or f"{kind} without a name"


def _role(resource: Document) -> str | None:
    """Name of the role that an assignment gives."""
    definition = (resource.get("properties") or {}).get("roleDefinitionId")
    if not isinstance(definition, str):
        return None
    name: str | None = _vocabulary()["roles"].get(definition.rpartition("/")[2].lower())
    return name


def _said(resource: Document | None, attributes: Document) -> Document | None:
    """A resource as it is shown: Azure's own properties, and beside them the attributes that rules look at."""
    if resource is None:
        return None
    shown = {key: _masked(key, value) for key, value in resource.items() if key not in _NOT_SHOWN}
    return {**shown, **{name: _attribute(resource, spec) for name, spec in attributes.items()}}


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(key, item) for item in value]
    if isinstance(value, str) and _SECRET.search(key):
        return MASK
    return None if _is_expression(value) else value


def _attribute(resource: Document, spec: Any) -> Any:
    if isinstance(spec, dict):
        block = _at(resource, spec["block"])
        return (
            [{name: _attribute(block, path) for name, path in spec["attributes"].items()}]
            if isinstance(block, dict)
            else []
        )
    path, _, conversion = spec.partition("|")
    if conversion == "role":
        return _role(resource)
    value = _at(resource, path)
    if _is_expression(value):
        return None
    if isinstance(value, str) and _SECRET.search(path):
        return MASK
    return {"enabled": True, "disabled": False}.get(str(value).lower()) if conversion == "switch" else value


def _at(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _is_expression(value: Any) -> bool:
    """A template expression that Azure evaluates only when it deploys."""
    return isinstance(value, str) and value.startswith("[") and not value.startswith("[[") and value.endswith("]")


def _unknown(resource: Document | None, attributes: Document) -> set[str]:
    """Paths of what is known after the deployment only, as Azure and as the rules name them."""
    paths = set(_expressions(resource or {}, ""))
    return paths | {name for name, spec in attributes.items() if any(_touches(path, _source(spec)) for path in paths)}


def _source(spec: Any) -> str:
    """Where Azure keeps what the rules look at."""
    return str(spec["block"] if isinstance(spec, dict) else spec.partition("|")[0])


def has_a_name(kind: str, path: str) -> bool:
    """Whether a property of Azure's is shown beside as an attribute that rules look at: it counts once.

    Args:
        kind: Terraform's type of the resource, as change sets have it.
        path: the property, without the numbers of list items.
    """
    return any(_touches(path, source) for source in _sources().get(kind, ()))


@cache
def _sources() -> dict[str, list[str]]:
    """By Terraform's type: where Azure keeps what is shown as attributes."""
    found: dict[str, list[str]] = {}
    for words in _vocabulary()["types"].values():
        sources = found.setdefault(words["type"], [])
        for spec in words["attributes"].values():
            inner = spec["attributes"].values() if isinstance(spec, dict) else [""]
            sources += [f"{_source(spec)}.{path}".rstrip(".").partition("|")[0] for path in inner]
    return {kind: [path for path in sources if path.startswith("properties.")] for kind, sources in found.items()}


def _touches(path: str, source: str) -> bool:
    return path == source or path.startswith((f"{source}.", f"{source}[")) or source.startswith(f"{path}.")


def _expressions(value: Any, path: str) -> Iterator[str]:
    if _is_expression(value):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _expressions(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _expressions(item, f"{path}[{index}]")
