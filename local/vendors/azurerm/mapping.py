"""Between the attributes of a Terraform type and the body of its ARM resource, as kinds.json says."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

State = dict[str, Any]
Kind = dict[str, Any]
KINDS: dict[str, Kind] = json.loads(Path(__file__).with_name("kinds.json").read_text())
PLAIN: dict[str, Callable[[Any], Any]] = {"not": lambda value: not value, "gigabytes": lambda value: value // 1024}
POSTGRES_TIERS = {"B": "Burstable", "GP": "GeneralPurpose", "MO": "MemoryOptimized"}


def body_of(kind: Kind, state: State) -> dict[str, Any]:
    """The ARM body for a state; null and empty attributes are left out."""
    body: dict[str, Any] = {}
    for name, spec in {**kind.get("fields", {}), **kind.get("write_only", {})}.items():
        path, _, conversion = spec.partition("|")
        value = _to_arm(conversion, state.get(name))
        if value is not None:
            _set(body, path, value)
    for name, block in kind.get("blocks", {}).items():
        items = [body_of(block, item) for item in state.get(name) or []]
        if "keyed" in block:
            keys = [block["keyed"].format(**item) for item in state[name]]
            _set(body, block["at"], {key[0].lower() + key[1:]: item for key, item in zip(keys, items, strict=True)})
        elif items:
            _set(body, block["at"], items if block.get("many") else items[0])
    return _merged(body, kind.get("constants", {}))


def state_of(kind: Kind, document: dict[str, Any]) -> State:
    """The attributes and blocks that ARM knows of."""
    state: State = {}
    for name, spec in {**kind.get("fields", {}), **kind.get("outputs", {})}.items():
        path, _, conversion = spec.partition("|")
        state[name] = _from_arm(conversion, _get(document, path))
    for name, block in kind.get("blocks", {}).items():
        found = _get(document, block["at"]) if _get(document, block.get("when", block["at"])) else None
        items = list(found.values()) if found and "keyed" in block else found if block.get("many") else [found]
        state[name] = [state_of(block, item) for item in items or [] if item]
    return state


def id_of(kind: Kind, state: State, subscription: str) -> str:
    return cast(str, kind["id"].format(**{"subscription_id": subscription, **state}))


def arm_path(kind: Kind, resource_id: str) -> str:
    """Where ARM keeps what Terraform knows under this id."""
    if "arm_id" not in kind:
        return resource_id
    return cast(str, kind["arm_id"].format(**names_in(kind, resource_id)))


def names_in(kind: Kind, resource_id: str) -> State:
    """The attributes that are part of the id."""
    pattern = re.sub(r"\\\{(\w+)\\\}", lambda name: _group(kind, name[1]), re.escape(kind["id"]))
    match = re.fullmatch(pattern, resource_id, re.IGNORECASE)
    if match is None:
        raise ValueError(f"the id {resource_id!r} does not have the form {kind['id']}")
    return match.groupdict()


def _group(kind: Kind, name: str) -> str:
    return f"(?P<{name}>.+)" if name == kind.get("parent") else f"(?P<{name}>[^/|]+)"


def with_defaults(kind: Kind, state: State) -> State:
    """Fill in what the provider sets when the configuration says nothing."""
    filled = {**state}
    for path, value in kind.get("defaults", {}).items():
        block, _, name = path.rpartition(".")
        if block:
            filled[block] = [{**item, name: value} if item.get(name) is None else item for item in filled[block] or []]
        elif filled.get(name) is None:
            filled[name] = value
    if isinstance(filled.get("location"), str):
        filled["location"] = filled["location"].replace(" ", "").lower()
    return filled


def unsupported(kind: Kind, config: State) -> Iterator[str]:
    """What the configuration sets and this table does not know: better refused than ignored."""
    known = {*kind.get("fields", {}), *kind.get("write_only", {}), *kind.get("kept", []), "id", "timeouts"}
    known |= set(re.findall(r"\{(\w+)\}", kind["id"])) if "id" in kind else set()
    for name, value in config.items():
        if name in kind.get("blocks", {}):
            for item in value if isinstance(value, list) else []:
                yield from (f"{name}.{inner}" for inner in unsupported(kind["blocks"][name], item))
        elif value not in (None, [], {}) and name not in known:
            yield name


def same(one: Any, other: Any) -> bool:
    """Equal in Terraform's eyes: null is empty, order and casing of ids do not count."""
    return bool(_plain(one) == _plain(other))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: plain for name, item in value.items() if (plain := _plain(item)) not in (None, [], {}, "")}
    if isinstance(value, list):
        return sorted((_plain(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, str) and value.lower().startswith("/subscriptions/"):
        return value.lower()
    return value


def _to_arm(conversion: str, value: Any) -> Any:
    name, _, argument = conversion.partition(":")
    if value is None or value == []:
        return [] if name == "always" else None
    if name in PLAIN:
        return PLAIN[name](value)
    match name:
        case "switch":
            value = "Enabled" if value else "Disabled"
        case "only_true":
            value = value or None
        case "after":
            value = f"{argument}{value}"
        case "keys":
            value = {item: {} for item in value}
        case "values":
            value = [{argument: item} for item in value]
        case "json":
            value = json.loads(value)
        case "postgres_sku":
            tier, _, size = value.partition("_")
            value = {"name": size, "tier": POSTGRES_TIERS[tier]}
    return value


def _from_arm(conversion: str, value: Any) -> Any:
    name, _, argument = conversion.partition(":")
    if value is None:
        return False if name == "only_true" else None
    match name:
        case "switch":
            value = value == "Enabled"
        case "not":
            value = not value
        case "after":
            value = value.removeprefix(argument)
        case "gigabytes":
            value = value * 1024
        case "keys":
            value = list(value)
        case "values":
            value = [item[argument] for item in value]
        case "json":
            value = json.dumps(value, separators=(",", ":"))
        case "postgres_sku":
            short = next(key for key, tier in POSTGRES_TIERS.items() if tier == value["tier"])
            value = f"{short}_{value['name']}"
    return value


def _set(document: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        document = document.setdefault(parent, {})
    document.update({last: value} if last else value)


def _get(document: dict[str, Any] | None, path: str) -> Any:
    for name in filter(None, path.split(".")):
        document = (document or {}).get(name)
    return document


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {name: _merged(one[name], other[name]) for name in one.keys() & other.keys() if isinstance(one[name], dict)}
    return {**other, **one, **both}
