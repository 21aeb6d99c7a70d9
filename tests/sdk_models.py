"""Bodies of Azure resources held against the models of Microsoft's SDKs, which are generated from its specifications.

Two generations of models: TypeSpec's (annotations with REST fields) and msrest's (an attribute map).
"""

import enum
import importlib
import sys
import typing
from collections.abc import Iterator
from types import ModuleType, UnionType
from typing import Any

_SCALARS: dict[Any, tuple[type, ...]] = {str: (str,), bool: (bool,), int: (int,), float: (int, float)}
_NAMED: dict[str, Any] = {"str": str, "bool": bool, "int": int, "float": float, "duration": str, "iso-8601": str}


def complaints(module: str, name: str, body: dict[str, Any]) -> list[str]:
    """What the model of the SDK says against a body."""
    models = importlib.import_module(f"azure.mgmt.{module}.models")
    return list(_check(getattr(models, name), body, name))


def _check(kind: Any, value: Any, path: str) -> Iterator[str]:
    """One value against one type. An expression that is evaluated in Azure fits every type."""
    if value is None or (isinstance(value, str) and value.startswith("[")):
        return
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, UnionType):
        yield from _union(arguments, value, path)
    elif origin is list:
        yield from _items(arguments[0], value, path)
    elif origin is dict:
        yield from _values(arguments[1], value, path)
    elif kind in _SCALARS:
        wrong = not isinstance(value, _SCALARS[kind]) or (isinstance(value, bool) and kind is not bool)
        yield from [f"{path}: {value!r} is no {kind.__name__}"] * wrong
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        allowed = {str(item.value).lower() for item in kind}
        yield from [f"{path}: {value!r} is none of {sorted(allowed)}"] * (str(value).lower() not in allowed)
    elif hasattr(kind, "_attribute_map"):
        yield from _old_model(kind, value, path)
    elif hasattr(kind, "_is_model"):
        yield from _new_model(kind, value, path)


def _union(kinds: tuple[Any, ...], value: Any, path: str) -> Iterator[str]:
    """Enums say more than the text that stands beside them; of several kinds one has to fit."""
    enums = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, enum.Enum)]
    found = [list(_check(kind, value, path)) for kind in enums or kinds if kind is not type(None)]
    if all(found):
        yield from found[0]


def _items(kind: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: no list"
        return
    for index, item in enumerate(value):
        yield from _check(kind, item, f"{path}[{index}]")


def _values(kind: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: no object"
        return
    for key, item in value.items():
        yield from _check(kind, item, f"{path}.{key}")


def _new_model(kind: Any, value: Any, path: str) -> Iterator[str]:
    module = sys.modules[kind.__module__]
    models = sys.modules[kind.__module__.rpartition(".")[0]]
    hints = typing.get_type_hints(kind, globalns={**vars(typing), **vars(module), "_models": models, "_types": module})
    fields = {
        field._rest_name_input or name: (hints[name], field._visibility or ["create"])
        for one in reversed(kind.__mro__)
        for name, field in vars(one).items()
        if type(field).__name__ == "_RestField"
    }
    if not isinstance(value, dict):
        yield f"{path}: no object"
        return
    for key, item in value.items():
        if key not in fields:
            yield f"{path}.{key}: unknown"
        elif fields[key][1] == ["read"]:
            yield f"{path}.{key}: read-only"
        else:
            yield from _check(fields[key][0], item, f"{path}.{key}")
    for key, (hint, visibility) in fields.items():
        if key not in value and type(None) not in typing.get_args(hint) and visibility != ["read"]:
            yield f"{path}.{key}: required"


def _old_model(kind: Any, value: Any, path: str) -> Iterator[str]:
    models = sys.modules[kind.__module__]
    kind = _subtype(kind, value, models)
    wanted = {spec["key"].replace("\\.", "\0"): (name, spec["type"]) for name, spec in kind._attribute_map.items()}
    flat = {prefix for key in wanted for prefix in _prefixes(key)}
    for key, item in _leaves(value, flat, ""):
        if key not in wanted:
            yield f"{path}.{key}: unknown".replace("\0", ".")
        elif kind._validation.get(wanted[key][0], {}).get("readonly"):
            yield f"{path}.{key}: read-only".replace("\0", ".")
        else:
            yield from _check(_named(wanted[key][1], models), item, f"{path}.{key}".replace("\0", "."))
    there = {key for key, _ in _leaves(value, flat, "")}
    for key, (name, _) in wanted.items():
        if kind._validation.get(name, {}).get("required") and key not in there:
            yield f"{path}.{key}: required".replace("\0", ".")


def _subtype(kind: Any, value: Any, models: ModuleType) -> Any:
    """The model that the value's discriminator names."""
    for name, kinds in getattr(kind, "_subtype_map", {}).items():
        key = kind._attribute_map[name]["key"].replace("\\.", ".")
        if value.get(key) in kinds:
            return getattr(models, kinds[value[key]])
    return kind


def _prefixes(key: str) -> Iterator[str]:
    """Objects that exist in the body only: old models have their fields one level up."""
    parts = key.split(".")
    return (".".join(parts[:size]) for size in range(1, len(parts)))


def _leaves(value: Any, flat: set[str], path: str) -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        key = f"{path}.{name.replace('.', chr(0))}" if path else name.replace(".", "\0")
        if key in flat and isinstance(item, dict):
            yield from _leaves(item, flat, key)
        else:
            yield key, item


def _named(name: str, models: ModuleType) -> Any:
    if name.startswith("["):
        return list[_named(name[1:-1], models)]  # type: ignore[misc]
    if name.startswith("{"):
        return dict[str, _named(name[1:-1], models)]  # type: ignore[misc]
    return _NAMED.get(name) or getattr(models, name, object)
