"""Generates the reference parts of the documentation from the code: ``python -m docs.generate``.

What stands between ``<!-- generated: x -->`` and ``<!-- end -->`` of a page is replaced.
``tests/structure/test_docs.py`` fails when a page differs from what the code says.
"""

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

import activities
import triggers
from activities._activity import ACTIVITIES
from docs.fields import ARCHETYPE_FIELDS
from shared import archetypes, rule_catalogue
from shared.authorisation import RULES, Rule, Subject, who, why_not
from shared.configuration import settings_classes, settings_of
from shared.domain_events import TYPES, schema_of
from shared.identity import Caller
from shared.models import archetype
from shared.models.records import RUNNING_STATES, TRANSITIONS
from shared.rule_set import RULES as RULE_FILES
from shared.telemetry.instruments import INSTRUMENTS
from triggers._http import ENDPOINTS, Endpoint

DOCS = Path(__file__).resolve().parent
_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> dict[Path, str]:
    """Every page with generated parts, with the content it must have."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
    return {path: _PART.sub(_fresh, text) for path, text in texts.items() if _PART.search(text)}


def _fresh(part: re.Match[str]) -> str:
    return f"{part[1]}\n{_PARTS[part[2]]().strip()}\n\n{part[3]}"


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _modules(package: ModuleType) -> list[ModuleType]:
    return [
        importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    ]


# -- events ----------------------------------------------------------------------------------------------------------


def _event_types() -> str:
    rows = []
    for name, kind in sorted(TYPES.items()):
        fields = ", ".join(f"`{field}`" for field in schema_of(name)["properties"])
        rows.append((f"`{name}`", kind.summary, fields))
    return _table(("type", "what happened", "data"), rows)


# -- settings --------------------------------------------------------------------------------------------------------


def _settings() -> str:
    text = ""
    for settings in settings_classes():
        rows = [
            (f"`{item.variable}`", item.kind, _default(item.default), item.description)
            for item in settings_of(settings)
        ]
        text += f"## {(settings.__doc__ or '').rstrip('.')}\n\nClass `{settings.__name__}` in `{_file(settings)}`.\n\n"
        text += _table(("variable", "type", "default", "meaning"), rows) + "\n"
    return text


def _default(value: str | None) -> str:
    if value is None:
        return "required"
    return f"`{value}`" if value else "empty"


def _file(settings: type) -> str:
    return settings.__module__.replace(".", "/") + ".py"


# -- routes ----------------------------------------------------------------------------------------------------------


def _routes() -> str:
    _modules(triggers)
    routes = sorted(ENDPOINTS, key=lambda item: (item.path, item.method))
    rows = [
        (f"`{item.method}`", f"`/api/{item.path}`", item.summary, "public" if item.public else "signed in")
        for item in routes
    ]
    text = "## Routes\n\n" + _table(("method", "path", "what", "caller"), rows)
    text += "\n" + "\n".join(_endpoint(item) for item in routes) + "\n## Bodies\n"
    models = {item.body.__name__: item.body for item in routes if item.body}
    return text + "".join(_model(models[name]) for name in sorted(models))


def _endpoint(item: Endpoint) -> str:
    lines = [f"### `{item.method} /api/{item.path}`\n", item.summary, ""]
    if item.headers:
        lines.append(f"- Headers: {', '.join(f'`{name}`' for name in item.headers)} (required)")
    if item.body:
        lines.append(f"- Body: [{item.body.__name__}](#{item.body.__name__.lower()})")
    lines += [f"- {status}: {_answer(answer)}" for status, answer in item.answers.items()]
    return "\n".join(lines) + "\n"


def _answer(answer: type[BaseModel] | str) -> str:
    if isinstance(answer, str):
        return answer
    fields = ", ".join(f"`{field.alias or name}`" for name, field in answer.model_fields.items())
    return f"{_first(answer.__doc__)} Fields: {fields}."


def _model(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    required = schema.get("required", [])
    rows = [
        (f"`{name}`", _kind(field, schema), "yes" if name in required else "no", field.get("description", ""))
        for name, field in schema["properties"].items()
    ]
    head = ("field", "type", "required", "meaning")
    return f"\n### {model.__name__}\n\n{_first(model.__doc__)}\n\n{_table(head, rows)}"


def _kind(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in field:
        field = schema["$defs"][field["$ref"].rpartition("/")[2]]
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(item, schema) for item in field["anyOf"]))
    if field.get("type") == "array":
        return f"list of {_kind(field['items'], schema)}"
    limits = [
        f"{name} {field[name]}" for name in ("minLength", "maxLength", "exclusiveMinimum", "maximum") if name in field
    ]
    words = [str(field.get("format") or field.get("type", "any")), *limits]
    return ", ".join(words)


def _first(text: str | None) -> str:
    return " ".join((text or "").strip().partition("\n\n")[0].split())


# -- states, steps, archetypes ---------------------------------------------------------------------------------------


def _states() -> str:
    """State diagram of a request, from the transitions that the register allows."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> received"]
    lines += [
        f"    {old} --> {new}" for old, following in TRANSITIONS.items() for new in sorted(following) if new is not old
    ]
    lines += [f"    {state} --> [*]" for state, following in TRANSITIONS.items() if not following]
    rows = [
        (f"`{state}`", "yes" if state in RUNNING_STATES else "no", ", ".join(f"`{new}`" for new in sorted(following)))
        for state, following in TRANSITIONS.items()
    ]
    head = ("state", "an orchestration works on it", "may become")
    return "\n".join([*lines, "```", "", _table(head, rows).rstrip()]) + "\n"


def _steps() -> str:
    """Every activity: what it does, and why it may run twice."""
    found = {
        name: (module, getattr(module, name))
        for module in _modules(activities)
        for name in ACTIVITIES
        if hasattr(module, name)
    }
    rows = []
    for name in sorted(found):
        module, work = found[name]
        paragraphs = [" ".join(part.split()) for part in (work.__doc__ or "").split("\n\n")]
        why = next((part.partition(":")[2].strip() for part in paragraphs if part.startswith("Idempotency")), "")
        rows.append((f"`{name}`", f"`{module.__name__.replace('.', '/')}.py`", paragraphs[0], why))
    return _table(("activity", "module", "what", "why it may run twice"), rows)


def _archetype_fields() -> str:
    kinds = (
        archetypes.Archetype,
        archetypes.Step,
        archetypes.Link,
        archetype.GlobalName,
        archetype.Source,
        archetype.Credential,
        archetype.HealthCheck,
        archetypes.PlannedObject,
        archetypes.BoardTemplate,
        archetypes.WorkItem,
    )
    return "\n".join(_fields(kind) for kind in kinds)


def _fields(model: type[BaseModel]) -> str:
    titles, meanings = ARCHETYPE_FIELDS[model.__name__]
    rows = [
        (
            f"`{field.alias or name}`",
            _annotation(field.annotation),
            "yes" if field.is_required() else "no",
            meanings[name],
        )
        for name, field in model.model_fields.items()
    ]
    return f"### {titles}\n\n{_table(('field', 'type', 'required', 'meaning'), rows)}"


def _annotation(kind: Any) -> str:
    text = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
    return f"`{re.sub(r'(shared[.]archetypes|shared[.]models[.]archetype|typing)[.]', '', text)}`"


# -- metrics ---------------------------------------------------------------------------------------------------------


def _metrics() -> str:
    rows = [
        (f"`{name}`", item.kind, f"`{item.unit}`", item.description, ", ".join(f"`{label}`" for label in item.labels))
        for name, item in sorted(INSTRUMENTS.items())
    ]
    return _table(("metric", "kind", "unit", "what", "labels"), rows)


# -- timers ----------------------------------------------------------------------------------------------------------


def _timers() -> str:
    """Every function that a clock wakes; what its module says first is what it does."""
    _modules(triggers)
    found = [sys.modules[name] for name in sorted(sys.modules) if name.startswith(f"{triggers.__name__}.timer_")]
    functions = [(module, module.timed._function) for module in found]  # noqa: SLF001 - the SDK has no other way to ask
    rows = [
        (f"`{function.get_function_name()}`", f"`{function.get_trigger().schedule}`", module.__doc__)
        for module, function in functions
    ]
    return _table(("timer", "schedule (UTC)", "what"), rows)


# -- authorisation ---------------------------------------------------------------------------------------------------


def _authorisation() -> str:
    """The rules, and what follows from them for each role, relation and route."""
    _modules(triggers)
    rows = [
        (f"`{action}`", rule.what, who(rule), _refused(rule), ", ".join(f"`{state}`" for state in sorted(rule.states)))
        for action, rule in RULES.items()
    ]
    text = "## Rules\n\n" + _table(("action", "what", "who", "never", "in the states"), rows)
    relations = {"": "", " of the owner team": "team", " who asked": "me"}
    text += "\n## Roles\n\n`yes` for a person; states apart.\n\n"
    text += _table(("caller", *(f"`{action}`" for action in RULES)), _roles(relations))
    routes = sorted(ENDPOINTS, key=lambda item: (item.path, item.method))
    pairs = [(f"`{item.method} /api/{item.path}`", f"`{item.action}`") for item in routes]
    return text + "\n## Routes\n\n" + _table(("route", "action"), pairs)


def _refused(rule: Rule) -> str:
    return ", ".join(
        word for word, refused in (("the requester", rule.not_requester), ("a service", rule.people)) if refused
    )


def _roles(relations: dict[str, str]) -> list[list[str]]:
    rows = []
    for role in ("Requester", "Approver", "FinOps", "Operator", "Auditor", "Admin"):
        for words, relation in relations.items():
            caller = Caller("me", "t", "me", frozenset({role}), frozenset({relation}), (), is_service=False)
            subject = Subject("me" if relation == "me" else "other", "team")
            rows.append([role + words, *("" if why_not(caller, name, subject) else "yes" for name in RULES)])
    return rows


# -- rules -----------------------------------------------------------------------------------------------------------


def _rules() -> str:
    """Every rule of the catalogue: what it demands, what a finding does, whether it knows exceptions."""
    outcomes = {"deny": "denied", "require_approval": "somebody has to approve", "warn": "told"}
    severities = {"deny": "error", "require_approval": "warning", "warn": "info"}
    catalogue = rule_catalogue.parse((RULE_FILES / rule_catalogue.FILE).read_text(encoding="utf-8"))
    rows = [
        (
            f"`{name}`",
            rule.package,
            rule.demands,
            outcomes[rule.outcome],
            severities[rule.outcome],
            "yes" if rule.exceptable else "no",
        )
        for name, rule in sorted(catalogue.items())
    ]
    return _table(("rule", "package", "what is so when it finds nothing", "otherwise", "severity", "exceptable"), rows)


_PARTS: dict[str, Callable[[], str]] = {
    "settings": _settings,
    "event-types": _event_types,
    "routes": _routes,
    "states": _states,
    "metrics": _metrics,
    "timers": _timers,
    "authorisation": _authorisation,
    "steps": _steps,
    "archetype-fields": _archetype_fields,
    "rules": _rules,
}


def main() -> None:
    """Write every generated page."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(DOCS.parent)}\n")


if __name__ == "__main__":
    main()
