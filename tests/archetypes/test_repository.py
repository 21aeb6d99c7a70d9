"""A rendered repository passes what its owner team and its pipeline will ask of it."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from tests.archetypes import inspection
from tests.archetypes.rendering import HOSTILE, answers

ENVIRONMENTS = ("dev", "qa", "prod")


@pytest.mark.parametrize("linter", inspection.linters("api"))
def test_linter_finds_nothing(repository: Path, linter: str) -> None:
    inspection.run(repository, *inspection.LINTERS[linter])


def test_own_tests_pass(repository: Path) -> None:
    assert inspection.own_tests(repository) >= 11


@pytest.mark.long
@pytest.mark.parametrize("linter", inspection.linters("api"))
def test_linter_finds_nothing_in_any_combination(any_repository: Path, linter: str) -> None:
    inspection.run(any_repository, *inspection.LINTERS[linter])


@pytest.mark.long
def test_own_tests_pass_in_any_combination(any_repository: Path) -> None:
    assert inspection.own_tests(any_repository) >= 11


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_chart_lints_and_renders(any_repository: Path, environment: str) -> None:
    assert inspection.lint_chart(any_repository, environment) == []
    objects = inspection.manifests(any_repository, environment)
    public = "https://" in (any_repository / "catalog-info.yaml").read_text(encoding="utf-8")
    assert ("Ingress" in objects) is public
    assert {"Deployment", "Service", "ServiceAccount", "NetworkPolicy"} <= set(objects)
    assert {"HorizontalPodAutoscaler", "PodDisruptionBudget"} <= set(objects)


def test_workload_runs_by_digest_and_with_no_more_rights_than_it_needs(repository: Path) -> None:
    objects = inspection.manifests(repository, "dev")
    pod = objects["Deployment"]["spec"]["template"]
    container = pod["spec"]["containers"][0]
    assert container["image"] == f"crcontosodev.azurecr.io/payments-api@{inspection.DIGEST}"
    assert pod["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert pod["metadata"]["labels"]["appstore/request-id"] == "req-7f3a"
    assert pod["spec"]["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {
        "/health"
    }


def test_selectors_and_ports_meet(repository: Path) -> None:
    objects = inspection.manifests(repository, "dev")
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    for kind in ("Service",):
        assert objects[kind]["spec"]["selector"].items() <= labels
    for kind in ("PodDisruptionBudget", "Deployment"):
        assert objects[kind]["spec"]["selector"]["matchLabels"].items() <= labels
    assert objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels
    backend = objects["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend["name"] == objects["Service"]["metadata"]["name"]
    assert backend["port"]["name"] == objects["Service"]["spec"]["ports"][0]["name"]
    assert objects["Ingress"]["spec"]["rules"][0]["host"] == "payments-api.dev.apps.contoso.com"


@pytest.mark.parametrize(
    "image", [{"repository": "", "digest": ""}, {"repository": "registry/app", "digest": "latest"}]
)
def test_chart_refuses_an_image_without_digest(repository: Path, image: dict[str, str]) -> None:
    values = inspection.chart_values(repository, "dev", image=image)
    with (
        helm_python.Chart.load(str(repository / "deploy/chart")) as chart,
        pytest.raises(helm_python.HelmError, match="image"),
    ):
        chart.render(values, name="payments-api", namespace="payments-api-dev")


def test_catalogue_entries_are_complete(any_repository: Path) -> None:
    entities = {entity["kind"]: entity for entity in inspection.entities(any_repository)}
    component = entities["Component"]
    assert component["metadata"]["description"] == HOSTILE
    assert component["metadata"]["annotations"]["appstore/request-id"] == "req-7f3a"
    assert component["spec"]["owner"] == "group:default/payments"
    definition = any_repository / entities["API"]["spec"]["definition"]["$text"]
    assert json.loads(definition.read_text(encoding="utf-8"))["openapi"].startswith("3.1")
    assert ("Resource" in entities) is ("dependsOn" in component["spec"])


def test_answers_are_kept_without_the_path_of_this_machine(repository: Path) -> None:
    kept = yaml.safe_load((repository / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert kept == {"_src_path": "archetypes/api", "_commit": "1.0.0", **answers(description=HOSTILE)}


def test_database_answer_decides_about_every_trace_of_it(any_repository: Path) -> None:
    kept = yaml.safe_load((any_repository / ".copier-answers.yml").read_text(encoding="utf-8"))
    mentions = [
        str(path.relative_to(any_repository))
        for path in any_repository.rglob("*")
        if path.is_file() and re.search(rb"psycopg|DATABASE_HOST|5432", path.read_bytes())
    ]
    assert bool(mentions) is (kept["database"] == "postgres"), mentions


def test_image_holds_only_what_runs(repository: Path) -> None:
    ignored = (repository / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    assert {line for line in ignored if line.startswith("!")} == {"!app", "!requirements.txt"}
    dockerfile = (repository / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM python:3\.13\.\d+-", dockerfile)
    assert "\nUSER 10001\n" in dockerfile
    assert 'CMD ["uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8080"]' in dockerfile


def test_every_requirement_is_pinned(any_repository: Path) -> None:
    lines = "".join(
        (any_repository / name).read_text(encoding="utf-8")
        for name in ("requirements.txt", "requirements-dev.txt", ".github/requirements.txt")
    ).splitlines()
    assert [
        line for line in lines if not re.fullmatch(r"#.*|-r requirements\.txt|[a-z0-9-]+(\[binary\])?==[\w.]+", line)
    ] == []


class TestPipeline:
    """The workflow that tests, builds and deploys."""

    @pytest.fixture
    def workflow(self, repository: Path) -> Any:
        text = (repository / ".github/workflows/ci.yml").read_text(encoding="utf-8")
        return yaml.safe_load(text.replace("\non:\n", '\n"on":\n'))  # YAML 1.1 reads a bare `on` as true

    def test_builds_after_tests_and_deploys_what_was_built(self, workflow: dict[str, Any]) -> None:
        jobs = workflow["jobs"]
        assert (jobs["build"]["needs"], jobs["deploy"]["needs"]) == (["test", "sast"], "build")
        bake = next(step for step in jobs["deploy"]["steps"] if step.get("id") == "bake")
        assert "image.digest:${{ needs.build.outputs.digest }}" in bake["with"]["overrides"]

    def test_rights_are_minimal(self, workflow: dict[str, Any]) -> None:
        assert workflow["permissions"] == {}
        assert workflow["jobs"]["test"]["permissions"] == {"contents": "read"}
        for job, more in (("build", "attestations"), ("deploy", "deployments")):
            assert workflow["jobs"][job]["permissions"] == {"contents": "read", "id-token": "write", more: "write"}

    def test_pull_requests_never_reach_an_environment(self, workflow: dict[str, Any]) -> None:
        assert workflow["jobs"]["build"]["if"] == "github.ref == 'refs/heads/main'"
        assert "environment" not in workflow["jobs"]["test"]

    def test_installs_into_the_python_of_the_job_only(self, workflow: dict[str, Any]) -> None:
        install = next(step["run"] for step in workflow["jobs"]["test"]["steps"] if step.get("name") == "Install")
        assert '--python "$(command -v python)"' in install
        assert "--system" not in install  # passes over a virtual environment and changes the machine's Python

    def test_dispatch_carries_the_request(self, workflow: dict[str, Any]) -> None:
        assert set(workflow["on"]["workflow_dispatch"]["inputs"]) == {"environment", "request_id"}
        assert "inputs.request_id" in workflow["run-name"]

    def test_text_of_people_is_not_in_it(self, workflow: dict[str, Any]) -> None:
        assert "passwd" not in json.dumps(workflow)


def test_project_file_is_valid(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["name"], project["description"]) == ("payments-api", HOSTILE)
