"""The redacted, engine-neutral list of changes that policies judge and people approve.

``terraform show -json`` writes sensitive values in clear and marks them elsewhere. A change set has the marked parts
masked; state, configuration and planned values of the document are dropped. Marks do not follow a value through a
provider (``terraform_data`` returns its sensitive input as a plain output), therefore every value that is marked
anywhere is masked everywhere.
Format: https://developer.hashicorp.com/terraform/internals/json-format
"""

import hashlib
import json
from typing import Any

from .problems import RunError

MASK = "(sensitive)"
_ACTIONS = {
    ("create",): "create",
    ("update",): "update",
    ("delete",): "delete",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("no-op",): "noop",
}
_READ = ("read",)
_LONG = 8


def change_set(plan: dict[str, Any]) -> dict[str, Any]:
    """Make the change set of a plan document.

    Raises:
        RunError: the plan is incomplete or holds an action without a place in a change set.
    """
    if plan.get("errored") or plan.get("complete") is False:
        raise RunError("Plan incomplete", "Terraform says that this plan is errored or leaves changes for later.")
    secrets = _secrets(plan)
    changes = _changes(plan.get("resource_changes", []), secrets)
    return {
        "engine": "terraform",
        "toolVersion": plan["terraform_version"],
        "summary": summary(changes),
        "changes": changes,
        "drift": drift(plan),
        "outputs": {name: _output(value, secrets) for name, value in sorted(plan.get("output_changes", {}).items())},
    }


def drift(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """What was changed outside of Terraform since the last apply."""
    return _changes(plan.get("resource_drift", []), _secrets(plan))


def summary(changes: list[dict[str, Any]]) -> dict[str, int]:
    """Count the changes by action."""
    count = dict.fromkeys(("create", "update", "replace", "delete", "noop"), 0)
    for change in changes:
        count[change["action"]] += 1
    return count


def canonical(document: Any) -> bytes:
    """The one form of a document that is digested: sorted keys, no spaces, UTF-8."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def sha256(content: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _changes(entries: list[dict[str, Any]], secrets: frozenset[str]) -> list[dict[str, Any]]:
    wanted = [entry for entry in entries if tuple(entry["change"]["actions"]) != _READ]
    return sorted((_change(entry, secrets) for entry in wanted), key=lambda change: str(change["address"]))


def _change(entry: dict[str, Any], secrets: frozenset[str]) -> dict[str, Any]:
    change = entry["change"]
    return {
        "address": entry["address"],
        "type": entry["type"],
        "action": _action(entry["address"], change["actions"]),
        "before": _without(_masked(change.get("before"), change.get("before_sensitive")), secrets),
        "after": _without(_masked(change.get("after"), change.get("after_sensitive")), secrets),
        "unknownPaths": sorted(_unknown(change.get("after_unknown"), "")),
        "replacePaths": sorted(_path(steps) for steps in change.get("replace_paths", [])),
    }


def _output(change: dict[str, Any], secrets: frozenset[str]) -> dict[str, Any]:
    return {
        "action": _action("output", change["actions"]),
        "before": _without(_masked(change.get("before"), change.get("before_sensitive")), secrets),
        "after": _without(_masked(change.get("after"), change.get("after_sensitive")), secrets),
        "unknown": bool(list(_unknown(change.get("after_unknown"), ""))),
    }


def _action(address: str, actions: list[str]) -> str:
    action = _ACTIONS.get(tuple(actions))
    if action is None:
        raise RunError(
            "Plan not understood", f"{address}: the action {'+'.join(actions)} has no place in a change set."
        )
    return action


def _masked(value: Any, sensitive: Any) -> Any:
    """Mask what is marked; a mark can stand for a whole value or for parts of it."""
    if not sensitive or value is None:
        return value
    if isinstance(value, dict) and isinstance(sensitive, dict):
        return {key: _masked(item, sensitive.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(sensitive, list):
        marks = [*sensitive, *[None] * (len(value) - len(sensitive))]
        return [_masked(item, mark) for item, mark in zip(value, marks, strict=False)]
    return MASK  # marked as a whole, or marked in a way that does not fit: nothing of it is shown


def _secrets(plan: dict[str, Any]) -> frozenset[str]:
    """Every text that is marked as sensitive somewhere in the plan, and the values of sensitive variables."""
    entries = [*plan.get("resource_changes", []), *plan.get("resource_drift", [])]
    changes = [*(entry["change"] for entry in entries), *plan.get("output_changes", {}).values()]
    found = [
        text
        for change in changes
        for side in ("before", "after")
        for text in _marked_texts(change.get(side), change.get(f"{side}_sensitive"))
    ]
    declared = plan.get("configuration", {}).get("root_module", {}).get("variables", {})
    for name, variable in plan.get("variables", {}).items():
        if declared.get(name, {}).get("sensitive"):
            found += _texts(variable.get("value"))
    return frozenset(found) - {""}


def _marked_texts(value: Any, sensitive: Any) -> list[str]:
    if not sensitive:
        return []
    if isinstance(value, dict) and isinstance(sensitive, dict):
        return [text for key, item in value.items() for text in _marked_texts(item, sensitive.get(key))]
    if isinstance(value, list) and isinstance(sensitive, list):
        return [text for item, mark in zip(value, sensitive, strict=False) for text in _marked_texts(item, mark)]
    return _texts(value)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]


def _without(value: Any, secrets: frozenset[str]) -> Any:
    """Mask texts that are a secret, or that hold one which is too long to stand there by chance."""
    if isinstance(value, str):
        long = (secret for secret in secrets if len(secret) >= _LONG)
        return MASK if value in secrets or any(secret in value for secret in long) else value
    if isinstance(value, dict):
        return {key: _without(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, secrets) for item in value]
    return value


def _unknown(marks: Any, path: str) -> list[str]:
    if marks is True:
        return [path]
    if isinstance(marks, dict):
        return [found for key, mark in marks.items() for found in _unknown(mark, f"{path}.{key}" if path else key)]
    if isinstance(marks, list):
        return [found for index, mark in enumerate(marks) for found in _unknown(mark, f"{path}[{index}]")]
    return []


def _path(steps: list[str | int]) -> str:
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path
