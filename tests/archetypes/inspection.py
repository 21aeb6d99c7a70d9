"""What a rendered repository has to pass. Each check is the tool that the owner team, or its pipeline, would use."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import helm_python
import kubernetes_validate
import yaml

from local import npm
from local.npm import CACHE
from tests.archetypes.rendering import ARCHETYPES

TOOLS = Path(sys.executable).parent
KUBERNETES = "1.34"
DIGEST = "sha256:" + "ab" * 32
NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
ANNOTATION = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
TAG = re.compile(r"[a-z0-9:+#]+(-[a-z0-9:+#]+)*")
REQUIRED = {
    "System": {"owner"},
    "Component": {"type", "lifecycle", "owner"},
    "API": {"type", "lifecycle", "owner", "definition"},
    "Resource": {"type", "owner"},
}
LINTERS = {
    "ruff check": ("ruff", "check", "."),
    "ruff format": ("ruff", "format", "--check", "."),
    "actionlint": ("actionlint", ".github/workflows/*.yml"),
    "zizmor": ("zizmor", "--offline", "--pedantic", "."),
    "workflow schema": ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/*.yml"),
    "dependabot": ("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"),
    "hadolint": ("hadolint", "Dockerfile"),
    "yamllint": ("yamllint", "--strict", "."),
    "biome": ("node_modules/.bin/biome", "ci"),
    "types": ("node_modules/.bin/tsc", "--noEmit"),
}
OF_PYTHON, OF_NODE = {"ruff check", "ruff format"}, {"biome", "types"}
NODE_PACKAGES = CACHE / "archetype-node"


def linters(archetype: str) -> dict[str, tuple[str, ...]]:
    """The tools that fit the language of an archetype's repository."""
    other = OF_PYTHON if in_node(archetype) else OF_NODE
    return {name: command for name, command in LINTERS.items() if name not in other}


def in_node(archetype: str) -> bool:
    """Whether the archetype's repository is an npm package."""
    return (ARCHETYPES / archetype / "skeleton" / "package.json").is_file()


def with_packages(repository: Path) -> Path:
    """Give a repository of Node.js the packages of its lock, installed once on this machine."""
    if (repository / "package.json").is_file() and not (repository / "node_modules").exists():
        packages = npm.install(npm.find_node(), repository, NODE_PACKAGES)
        (repository / "node_modules").symlink_to(packages, target_is_directory=True)
    return repository


def run(repository: Path, *command: str) -> str:
    """Run a program in the repository; its own plugins only, its output as the failure."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("GITHUB_STEP_SUMMARY", None)
    environment["PATH"] = f"{Path(npm.find_node()).parent}{os.pathsep}{environment['PATH']}"
    program = with_packages(repository) / command[0] if "/" in command[0] else TOOLS / command[0]
    arguments = [
        str(path) for part in command[1:] for path in (sorted(repository.glob(part)) if "*" in part else [part])
    ]
    done = subprocess.run(
        [str(program), *arguments],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def own_tests(repository: Path) -> int:
    """Run the repository's tests; return how many passed."""
    if (repository / "package.json").is_file():
        output = run(repository, "node_modules/.bin/vitest", "run", "--no-color")
        found = re.search(r"Tests +(\d+) passed", output)
        assert found, output
        return int(found.group(1))
    output = run(repository, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    found = re.search(r"(\d+) passed", output)
    assert found, output
    assert "failed" not in output
    return int(found.group(1))


def chart_values(repository: Path, environment: str, **overrides: Any) -> dict[str, Any]:
    """Values as the pipeline gives them: the environment's file and what only the pipeline knows."""
    values: dict[str, Any] = yaml.safe_load(
        (repository / f"deploy/chart/values-{environment}.yaml").read_text(encoding="utf-8")
    )
    values["image"] = {"repository": "crcontosodev.azurecr.io/payments-api", "digest": DIGEST}
    values["identity"] = {"clientId": "20000000-0000-0000-0000-00000000abcd"}
    values["version"] = "0123456789abcdef0123456789abcdef01234567"
    return values | overrides


def manifests(repository: Path, environment: str) -> dict[str, dict[str, Any]]:
    """Render the chart with Helm, check each object against Kubernetes' schema, return them by kind."""
    with helm_python.Chart.load(str(repository / "deploy/chart")) as chart:
        rendered = chart.render(
            chart_values(repository, environment), name="payments-api", namespace="payments-api-dev"
        )
    objects = [entry for text in rendered.values() for entry in yaml.safe_load_all(text) if entry]
    for entry in objects:
        kubernetes_validate.validate(entry, KUBERNETES, strict=True)
    kinds = {entry["kind"]: entry for entry in objects}
    assert len(kinds) == len(objects), "two objects of a kind"
    return kinds


def lint_chart(repository: Path, environment: str) -> list[Any]:
    """Return Helm's findings, without its advice (severity 1: an icon is recommended)."""
    report = helm_python.lint(str(repository / "deploy/chart"), chart_values(repository, environment))
    return [*report["errors"], *(message for message in report["messages"] if message["severity"] > 1)]


def entities(repository: Path) -> list[dict[str, Any]]:
    """Read the catalogue entities and check what Backstage checks when it takes them in."""
    found = list(yaml.safe_load_all((repository / "catalog-info.yaml").read_text(encoding="utf-8")))
    for entity in found:
        _check_entity(entity)
    return found


def _check_entity(entity: dict[str, Any]) -> None:
    assert set(entity) == {"apiVersion", "kind", "metadata", "spec"}
    assert entity["apiVersion"] == "backstage.io/v1alpha1"
    assert REQUIRED[entity["kind"]] <= set(entity["spec"])
    metadata = entity["metadata"]
    assert NAME.fullmatch(metadata["name"])
    assert len(metadata["name"]) <= 63
    assert all(TAG.fullmatch(tag) and len(tag) <= 63 for tag in metadata.get("tags", []))
    assert all(urlsplit(link["url"]).netloc for link in metadata.get("links", []))
    for key, value in metadata.get("annotations", {}).items():
        assert ANNOTATION.fullmatch(key)
        assert isinstance(value, str)
