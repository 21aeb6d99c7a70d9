"""What the workflows and Backstage will say of every combination, by their own tools; for `make test-archetypes`."""

import json
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.archetypes.rendering import HOSTILE, combinations, render_order
from tests.archetypes.test_every_archetype import NAMES, _values, in_cluster, manifests

ASKED_FOR = "APPSTORE_ARCHETYPE_TOOLS"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(ASKED_FOR not in os.environ, reason="the tools are installed by make test-archetypes only"),
]
EVERY = [
    pytest.param(name, number, id=f"{name}-{number}") for name in NAMES for number in range(len(combinations(name)))
]
IN_CLUSTER = [item for item in EVERY if item.values[0] in in_cluster(NAMES)]
every_combination = pytest.mark.parametrize(("archetype", "number"), EVERY)

type Render = Callable[[str, int], Path]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Render:
    @cache
    def one(archetype: str, number: int) -> Path:
        target = tmp_path_factory.mktemp("repository")
        return render_order(target, archetype, combinations(archetype)[number], description=HOSTILE)

    return one


def tool(environment: str, repository: Path, *command: str) -> str:
    """Run a program of one of the environments in a repository; its output, or its output as the failure."""
    programs = Path(os.environ[ASKED_FOR]) / environment / "bin"
    search = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(programs / command[0]), *command[1:]],
        cwd=repository,
        env={**os.environ, "PATH": search},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@every_combination
def test_documentation_builds_as_strictly_as_it_can(
    rendered: Render, archetype: str, number: int, tmp_path: Path
) -> None:
    tool("tools", rendered(archetype, number), "mkdocs", "build", "--strict", "--site-dir", str(tmp_path))
    assert (tmp_path / "runbook" / "index.html").is_file()


@every_combination
def test_no_file_looks_like_a_secret(rendered: Render, archetype: str, number: int) -> None:
    repository = rendered(archetype, number)
    files = [str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()]
    tool("tools", repository, "detect-secrets-hook", *files)


def test_the_secret_scan_sees_a_secret(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text('AWS_KEY = "AKIA' + "IOSFODNN7EXAMPLE" + '"\n')
    with pytest.raises(AssertionError, match="AWS Access Key"):
        tool("tools", tmp_path, "detect-secrets-hook", "settings.py")


@every_combination
def test_the_bill_of_materials_names_what_is_pinned(rendered: Render, archetype: str, number: int) -> None:
    repository = rendered(archetype, number)
    document = json.loads(tool("tools", repository, "syft", "dir:.", "--output", "cyclonedx-json", "--quiet"))
    found = {component["name"].lower() for component in document["components"]}
    pinned = _pinned(repository)
    assert pinned
    assert pinned <= found


def _pinned(repository: Path) -> set[str]:
    if (repository / "package.json").is_file():
        return set(json.loads((repository / "package.json").read_text(encoding="utf-8"))["dependencies"])
    lines = (repository / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {line.partition("==")[0].partition("[")[0] for line in lines if "==" in line}


@pytest.mark.parametrize("environment", ["dev", "prod"])
@pytest.mark.parametrize(("archetype", "number"), IN_CLUSTER)
def test_checkov_finds_nothing(rendered: Render, archetype: str, number: int, environment: str, tmp_path: Path) -> None:
    repository = rendered(archetype, number)
    objects = manifests(repository / "deploy/chart", _values(repository, environment))
    (tmp_path / "rendered.yaml").write_text("---\n".join(yaml.safe_dump(item) for item in objects), encoding="utf-8")
    said = tool("checkov", repository, "checkov", "--config-file", ".checkov.yaml", "--directory", str(tmp_path))
    assert "Failed checks: 0" in said
