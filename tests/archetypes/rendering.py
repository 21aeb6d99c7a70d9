"""Render a repository as the product does: the shared layers, then the archetype's own, with the same answers."""

import itertools
from pathlib import Path
from typing import Any

import copier
import yaml

ROOT = Path(__file__).resolve().parents[2]
ARCHETYPES = ROOT / "archetypes"
HOSTILE = '${file("/etc/passwd")} [[ 7*7 ]] ${{ github.token }} {{ .Values }} <!everyone>\nsecond line'
OWN_TO_API = {"database", "public_endpoint"}
COMBINATIONS = list(itertools.product(("postgres", "none"), (True, False)))


def catalogue_entry(archetype: str) -> dict[str, Any]:
    """The archetype's own description."""
    return dict(yaml.safe_load((ARCHETYPES / archetype / "archetype.yaml").read_text(encoding="utf-8")))


def combinations(archetype: str) -> list[dict[str, Any]]:
    """Every combination of the parameters: values of an enumeration, both of a boolean, the ends of a range."""
    properties = catalogue_entry(archetype)["parameters"]["properties"]
    values = {name: _values(rule) for name, rule in properties.items()}
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


def _values(rule: dict[str, Any]) -> list[Any]:
    if "const" in rule:
        return [rule["const"]]
    if rule["type"] == "boolean":
        return [True, False]
    return list(rule.get("enum") or dict.fromkeys((rule["default"], rule.get("maximum", rule["default"]))))


def render_order(target: Path, archetype: str, parameters: dict[str, Any], **changed: Any) -> Path:
    """Render an archetype for an order with these parameters."""
    entry = catalogue_entry(archetype)
    given = {name: parameters[parameter] for name, parameter in entry["answers"].items()}
    common = {name: value for name, value in answers(**changed).items() if name not in OWN_TO_API} | given
    for layer in (*entry["layers"], archetype):
        template = str(ARCHETYPES / layer / "skeleton")
        copier.run_copy(template, target, data=common, defaults=True, overwrite=True, quiet=True)
    return target


def answers(**changed: Any) -> dict[str, Any]:
    """Answers of a complete request; `changed` replaces some."""
    environments = changed.get("environments", ["dev", "qa", "prod"])
    return {
        "application": "payments-api",
        "description": "Card payments for the web shop",
        "owner_team": "payments",
        "contact": "payments@example.com",
        "cost_center": "CC-1001",
        "data_classification": "confidential",
        "criticality": "high",
        "environments": environments,
        "region": "westeurope",
        "database": "postgres",
        "public_endpoint": True,
        "repository": "contoso/payments-api",
        "archetype_version": "1.0.0",
        "request_id": "req-7f3a",
        "hostnames": {name: f"payments-api.{name}.apps.contoso.com" for name in environments},
    } | changed


def render(target: Path, **changed: Any) -> Path:
    """Render into `target` and return it."""
    for layer in ("_common", "_python", "api"):
        template = str(ARCHETYPES / layer / "skeleton")
        copier.run_copy(template, target, data=answers(**changed), defaults=True, overwrite=True, quiet=True)
    return target


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
