"""What holds for every archetype, by its data alone: a new one is checked without a new line here."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import pytest
import regorus
import yaml

from shared import archetypes
from tests.archetypes import inspection
from tests.archetypes.rendering import ARCHETYPES, HOSTILE, ROOT, catalogue_entry, combinations, render_order

NAMES = sorted(path.parent.name for path in ARCHETYPES.glob("*/archetype.yaml"))
OTHERS = [name for name in NAMES if name != "api"]  # the api has tests of its own beside these
# `count` of a resource: the parameters with which an order has it.
COUNTS: dict[str, dict[str, object]] = {
    "local.with_database ? 1 : 0": {"database": "postgres"},
    "local.with_cluster ? 1 : 0": {"cluster": "dedicated"},
    "var.platform_principal_id == null ? 0 : 1": {"platformAccess": True},
    "var.source_registry_id == null ? 0 : 1": {},  # the scope says where
    "var.runs_in_cluster ? 1 : 0": {},  # the stack says whether
}
OF_KEDA = {"ScaledObject", "TriggerAuthentication"}

type Render = Callable[[str, int], Path]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """An archetype in one of its combinations, rendered the first time it is asked for."""

    @cache
    def one(archetype: str, number: int) -> Path:
        target = tmp_path_factory.mktemp("repository")
        return render_order(target, archetype, combinations(archetype)[number], description=HOSTILE)

    return one


def all_combinations(names: list[str]) -> list[Any]:
    """The first one of each archetype belongs to the suite, the others to the long proofs."""
    return [
        pytest.param(name, number, marks=[pytest.mark.long] if number else [], id=f"{name}-{number}")
        for name in names
        for number in range(len(combinations(name)))
    ]


def in_cluster(names: list[str]) -> list[str]:
    """The archetypes that are deployed by a chart."""
    return [
        name
        for name in names
        if any(
            (ARCHETYPES / layer / "skeleton/deploy/chart").is_dir()
            for layer in (*catalogue_entry(name)["layers"], name)
        )
    ]


every_combination = pytest.mark.parametrize(("archetype", "number"), all_combinations(OTHERS))
every_chart = pytest.mark.parametrize(("archetype", "number"), all_combinations(in_cluster(OTHERS)))
every_linter = pytest.mark.parametrize(
    ("archetype", "number", "linter"),
    [
        pytest.param(*item.values, linter, marks=item.marks, id=f"{item.id}-{linter}")
        for item in all_combinations(OTHERS)
        for linter in inspection.linters(str(item.values[0]))
    ],
)


@pytest.mark.parametrize("name", NAMES)
def test_data_is_complete(name: str) -> None:
    entry, found = catalogue_entry(name), archetypes.find(name, ARCHETYPES)
    assert found.id == name
    assert f"\n## {entry['version']}\n" in (ARCHETYPES / name / "CHANGELOG.md").read_text(encoding="utf-8")
    assert (ROOT / "infra" / "stacks" / entry["stack"]).is_dir()
    assert archetypes.dashboards(name, ARCHETYPES)
    assert archetypes.board(name, ARCHETYPES).items
    jsonschema.Draft202012Validator.check_schema(entry["parameters"])
    for parameter, rule in entry["parameters"]["properties"].items():
        assert {"type", "title", "description", "default", "updateable"} <= set(rule), parameter
        jsonschema.validate(rule["default"], rule)


@pytest.mark.parametrize("name", NAMES)
def test_stack_lists_exactly_what_terraform_makes(name: str) -> None:
    stack = ROOT / "infra" / "stacks" / catalogue_entry(name)["stack"]
    made = set()
    for module, source in re.findall(
        r'^module "(\w+)" \{\n  source = "([^"]+)"', (stack / "main.tf").read_text(), re.MULTILINE
    ):
        outside = module == "environment" and "runs_in_cluster       = false" in (stack / "main.tf").read_text()
        for address, when in _resources((stack / source).resolve(), outside=outside):
            made.add((f"module.{module}.{address}", when))
    properties = catalogue_entry(name)["parameters"]["properties"]
    listed = _listed(name, properties)
    known = {*properties, "platformAccess"}
    assert listed == {(address, when) for address, when in made if {key for key, _ in when} <= known}


def _listed(name: str, properties: dict[str, Any]) -> set[tuple[str, tuple[tuple[str, object], ...]]]:
    """Name and condition of each object; one that is listed for every value of a parameter has none."""
    objects = [item for item in archetypes.stack_objects(name, ARCHETYPES) if item.owner == "terraform"]
    listed = {(item.name, tuple(item.when.items())) for item in objects}
    for parameter, rule in properties.items():
        for address in {item.name for item in objects}:
            each = {(address, ((parameter, value),)) for value in rule.get("enum", [])}
            if each and each <= listed:
                listed = listed - each | {(address, ())}
    return listed


def _resources(module: Path, *, outside: bool) -> list[tuple[str, tuple[tuple[str, object], ...]]]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(module.glob("*.tf")))
    found = []
    for kind, name, body in re.findall(r'^resource "(\w+)" "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL):
        count = re.search(r"^  count = (.+)$", body, re.MULTILINE)
        if outside and count and count.group(1) in ("var.runs_in_cluster ? 1 : 0", "local.with_database ? 1 : 0"):
            continue
        condition = COUNTS[count.group(1)] if count else {}
        found.append((f"{kind}.{name}{'[0]' if count else ''}", tuple(condition.items())))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_stack_takes_what_the_archetype_gives(name: str) -> None:
    entry = catalogue_entry(name)
    stack = ROOT / "infra" / "stacks" / entry["stack"]
    variables = (stack / "variables.tf").read_text(encoding="utf-8")
    outputs = set(re.findall(r'^output "(\w+)"', (stack / "outputs.tf").read_text(encoding="utf-8"), re.MULTILINE))
    declared = set(re.findall(r'^variable "(\w+)"', variables, re.MULTILINE))
    assert set(entry.get("variables", {})) <= declared
    assert all(re.search(rf"^    {key} += string$", variables, re.MULTILINE) for key in entry.get("names", {}))
    taken = {source["output"] for source in entry["pipeline"].values() if "output" in source}
    assert taken | {credential["identity"] for credential in entry["credentials"]} <= outputs
    assert {"deployment_client_id", "deployment_identity_id", "key_vault_uri"} <= outputs


@pytest.mark.parametrize("name", NAMES)
def test_prices_are_known_and_complete(name: str) -> None:
    known = json.loads((ROOT / "rules" / "prices.json").read_text(encoding="utf-8"))["items"]
    for item in archetypes.stack_objects(name, ARCHETYPES):
        assert not item.prices or list(item.prices) == catalogue_entry(name)["environments"], item.id
        assert {key for prices in item.prices.values() for key in prices} <= set(known)


@every_linter
def test_linter_finds_nothing(rendered: Render, archetype: str, number: int, linter: str) -> None:
    inspection.run(rendered(archetype, number), *inspection.LINTERS[linter])


@every_combination
def test_own_tests_pass(rendered: Render, archetype: str, number: int) -> None:
    assert inspection.own_tests(rendered(archetype, number)) >= 11


@pytest.mark.parametrize("environment", ["dev", "qa", "prod"])
@every_chart
def test_chart_renders_and_its_policies_let_it_pass(
    rendered: Render, archetype: str, number: int, environment: str
) -> None:
    repository = rendered(archetype, number)
    chart, values = repository / "deploy/chart", _values(repository, environment)
    report = helm_python.lint(str(chart), values)
    assert [*report["errors"], *(message for message in report["messages"] if message["severity"] > 1)] == []
    objects = manifests(chart, values)
    for entry in objects:
        if entry["kind"] not in OF_KEDA:
            kubernetes_validate.validate(entry, inspection.KUBERNETES, strict=True)
    assert judge(repository, objects) == []
    bad = json.loads(json.dumps(objects).replace("@sha256:", ":"))
    assert any("digest" in message for message in judge(repository, bad))


def _values(repository: Path, environment: str) -> dict[str, Any]:
    chart = repository / "deploy/chart"
    files = (chart / f"values-{environment}.yaml", chart / "ci/values.yaml")
    merged: dict[str, Any] = {}
    for file in files:
        for key, value in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def manifests(chart: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    with helm_python.Chart.load(str(chart)) as loaded:
        texts = loaded.render(values, name="payments-api", namespace="payments-api-dev")
    named = (text for name, text in texts.items() if name.endswith(".yaml"))
    return [entry for text in named for entry in yaml.safe_load_all(text) if entry]


def judge(repository: Path, objects: list[dict[str, Any]]) -> list[str]:
    """What the repository's own policies say, by the engine that the product has."""
    engine = regorus.Engine()
    engine.add_policy("deployment.rego", (repository / "policy/deployment.rego").read_text(encoding="utf-8"))
    engine.set_input_json(json.dumps(objects))
    return [str(message) for message in json.loads(engine.eval_rule_as_json("data.deployment.deny"))]


@pytest.mark.parametrize("archetype", in_cluster(NAMES))
def test_policies_keep_their_own_tests(rendered: Render, archetype: str) -> None:
    folder = rendered(archetype, 0) / "policy"
    engine = regorus.Engine()
    for file in sorted(folder.glob("*.rego")):
        engine.add_policy(file.name, file.read_text(encoding="utf-8"))
    engine.set_input_json("{}")
    tests = re.findall(r"^(test_\w+) if", (folder / "deployment_test.rego").read_text(encoding="utf-8"), re.MULTILINE)
    failed = [
        name for name in tests if json.loads(engine.eval_rule_as_json(f"data.deployment_test.{name}")) is not True
    ]
    assert len(tests) >= 10
    assert failed == []


@every_combination
def test_catalogue_entries_and_documents_fit(rendered: Render, archetype: str, number: int) -> None:
    repository = rendered(archetype, number)
    entities = {entity["kind"]: entity for entity in inspection.entities(repository)}
    assert entities["Component"]["metadata"]["description"] == HOSTILE
    assert entities["Component"]["metadata"]["annotations"]["appstore/request-id"] == "req-7f3a"
    navigation = yaml.safe_dump(yaml.safe_load((repository / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    there = {str(file.relative_to(repository / "docs")) for file in (repository / "docs").rglob("*.md")}
    assert set(re.findall(r"[\w/-]+\.md", navigation)) == there
    kept = yaml.safe_load((repository / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert kept["_src_path"] == f"archetypes/{archetype}"


@pytest.mark.parametrize("archetype", NAMES)
def test_workflows_have_few_rights_and_no_text_of_people(rendered: Render, archetype: str) -> None:
    files = sorted((rendered(archetype, 0) / ".github/workflows").glob("*.yml"))
    assert {"ci.yml", "security.yml"} <= {file.name for file in files}
    for file in files:
        text = file.read_text(encoding="utf-8")
        workflow = yaml.safe_load(text)
        assert workflow["permissions"] == {}, file.name
        assert "passwd" not in text
        for name, job in workflow["jobs"].items():
            assert set(job["permissions"].values()) <= {"read", "write"}, name
            assert job["timeout-minutes"] <= 30


@pytest.mark.parametrize("archetype", NAMES)
def test_every_requirement_is_pinned(rendered: Render, archetype: str) -> None:
    repository = rendered(archetype, 0)
    files = [*repository.glob("requirements*.txt"), *(repository / ".github").glob("requirements*.txt")]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert [
        line for line in lines if not re.fullmatch(r"#.*|-r requirements\.txt|[a-z0-9-]+(\[binary\])?==[\w.]+", line)
    ] == []
    manifest = repository / "package.json"
    packages = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    wanted = packages.get("dependencies", {}) | packages.get("devDependencies", {})
    assert {name: version for name, version in wanted.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)} == {}
    assert files or wanted
