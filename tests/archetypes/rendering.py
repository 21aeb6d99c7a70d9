"""Render a repository as the product does: the shared layer, then the archetype's own, with the same answers."""

import itertools
from pathlib import Path
from typing import Any

import copier

ROOT = Path(__file__).resolve().parents[2]
ARCHETYPES = ROOT / "archetypes"
HOSTILE = '${file("/etc/passwd")} [[ 7*7 ]] ${{ github.token }} {{ .Values }} <!everyone>\nsecond line'
COMBINATIONS = list(itertools.product(("postgres", "none"), (True, False)))


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
    for layer in ("_common", "api"):
        template = str(ARCHETYPES / layer / "skeleton")
        copier.run_copy(template, target, data=answers(**changed), defaults=True, overwrite=True, quiet=True)
    return target


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
