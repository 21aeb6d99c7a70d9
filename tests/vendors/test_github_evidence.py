"""What GitHub keeps of a release: deployments, findings, attestations; and the runner's `gh`, which verifies them."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.vendors import github_attestations, github_evidence, runner_tools
from local.vendors.kernel import Vendor
from tests.vendors.github_world import REPO, Actions, World

DIGEST = "sha256:" + "7" * 64
PROVENANCE, SPDX = "https://slsa.dev/provenance/v1", "https://spdx.dev/Document/v2.3"
WORKFLOW = "contoso/payments-api/.github/workflows/ci.yml"
DEPLOYMENTS = f"{REPO}/deployments"


class Runs(Actions):
    """The part of Actions that evidence asks for: what ran, and who a job is."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def runs(self, _repository: int) -> list[dict[str, Any]]:
        return [run for run, _ in self.done]

    def jobs(self, identifier: int) -> list[dict[str, Any]]:
        return [job for run, job in self.done if run["id"] == identifier]

    def id_token(self, job: Any, _audience: str) -> str:
        claims = base64.urlsafe_b64encode(json.dumps(job.claims).encode()).decode().rstrip("=")
        return f"head.{claims}.signature"


class Evidence(World):
    def others(self) -> list[Vendor]:
        self.actions = self.runs = Runs()
        evidence, store = github_evidence.build(self.kernel), github_attestations.build(self.kernel)
        self.scanning: Any = evidence.public
        self.attestations: Any = store.public
        return [Vendor("actions", (), [], self.runs), evidence, store]

    async def repository(self) -> Any:
        return self.kernel.vendor("github").repository("contoso", "payments-api")

    async def head(self) -> str:
        return str((await self.call("GET", f"{REPO}/git/ref/heads/main"))["object"]["sha"])

    async def deployed(self, environment: str, *states: str, **more: Any) -> dict[str, Any]:
        wanted = {"ref": "main", "environment": environment, "required_contexts": [], **more}
        made: dict[str, Any] = await self.call("POST", DEPLOYMENTS, wanted, status=201)
        for state in states:
            await self.call("POST", f"{DEPLOYMENTS}/{made['id']}/statuses", {"state": state}, status=201)
        return made

    async def states(self, deployment: dict[str, Any]) -> list[str]:
        listed = await self.call("GET", f"{DEPLOYMENTS}/{deployment['id']}/statuses")
        return [item["state"] for item in listed]

    async def job(self, tmp_path: Path, permission: str = "write") -> Any:
        claims = {"repository": "contoso/payments-api", "workflow_ref": f"{WORKFLOW}@refs/heads/main"}
        claims |= {
            "job_workflow_ref": f"{WORKFLOW}@refs/heads/main",
            "ref": "refs/heads/main",
            "sha": await self.head(),
        }
        claims |= {"event_name": "push", "run_id": "1", "run_attempt": "1", "repository_id": "900000001"}
        claims |= {"runner_environment": "github-hosted"}
        spec = {"permissions": {"attestations": permission}}
        where = {"repository": await self.repository(), "workspace": tmp_path, "log": lambda _text: None}
        return SimpleNamespace(spec=spec, claims=claims, **where)

    async def run(self, folder: Path, *command: str, **variables: str) -> tuple[int, str]:
        """A program of the runner, with the environment of a job."""
        environment = self.kernel.child_environment() | {"HOME": str(folder), "PATH": os.environ["PATH"], **variables}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            str(folder / "tools" / command[0]), *command[1:], stdout=pipe, stderr=pipe, env=environment
        )
        out, error = await process.communicate()
        return process.returncode or 0, (out + error).decode()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Evidence]:
    made = Evidence(tmp_path / "vendors")
    await made.start()
    await made.create()
    yield made
    await made.stop()


async def test_a_deployment_has_its_statuses_newest_first_and_a_success_retires_the_one_before(world: Evidence) -> None:
    first = await world.deployed("dev", "in_progress", "success")
    assert (await world.call("GET", f"{DEPLOYMENTS}/{first['id']}"))["sha"] == await world.head()
    assert await world.states(first) == ["success", "in_progress"]
    second, other = await world.deployed("dev", "success"), await world.deployed("qa", "success")
    assert await world.states(first) == ["inactive", "success", "in_progress"]
    assert (await world.states(second), await world.states(other)) == (["success"], ["success"])
    assert [item["id"] for item in await world.call("GET", f"{DEPLOYMENTS}?environment=dev")] == [
        second["id"],
        first["id"],
    ]


async def test_production_keeps_its_successes(world: Evidence) -> None:
    first = await world.deployed("prod", "success", production_environment=True)
    await world.deployed("prod", "success", production_environment=True)
    assert await world.states(first) == ["success"]


async def test_what_is_wrong_with_a_deployment_is_told_in_githubs_words(world: Evidence) -> None:
    await world.call("POST", DEPLOYMENTS, {"ref": "nowhere"}, status=422)
    made = await world.deployed("dev")
    await world.call("POST", f"{DEPLOYMENTS}/{made['id']}/statuses", {"state": "great"}, status=422)
    await world.call("GET", f"{DEPLOYMENTS}/1", status=404)
    await world.call("GET", DEPLOYMENTS, status=401, token="ghs_wrong")  # noqa: S106
    run = {"id": 7, "head_sha": await world.head(), "head_branch": "main"}
    world.runs.done.append((run, {"id": 70, "environment": None, "conclusion": "failure"}))
    refused = await world.call("POST", DEPLOYMENTS, {"ref": "main"}, status=409)
    assert "status checks failed" in refused["message"]


async def test_a_job_with_an_environment_leaves_a_deployment_that_nobody_may_change(world: Evidence) -> None:
    run = {"id": 7, "head_sha": await world.head(), "head_branch": "main"}
    times = dict.fromkeys(("created_at", "started_at", "completed_at"), "2026-11-26T10:00:00Z")
    job = {"id": 70, "environment": "dev", "status": "completed", "conclusion": "success", **times}
    world.runs.done.append((run, job))
    (listed,) = await world.call("GET", DEPLOYMENTS)
    assert (listed["id"], listed["creator"]["login"], listed["payload"]) == (70, "github-actions[bot]", {})
    assert await world.states(listed) == ["success"]
    await world.call("POST", f"{DEPLOYMENTS}/70/statuses", {"state": "failure"}, status=422)


def sarif(folder: Path, *rules: str) -> Path:
    score = {"properties": {"security-severity": "8.1"}}
    driver = {"name": "Scanner", "rules": [{"id": rule, **score} for rule in rules]}
    results = [{"ruleId": rule, "level": "error", "message": {"text": f"{rule} is bad"}} for rule in rules]
    file = folder / "found.sarif"
    file.write_text(json.dumps({"runs": [{"tool": {"driver": driver}, "results": results}]}))
    return file


async def test_findings_are_open_until_an_analysis_no_longer_has_them(world: Evidence, tmp_path: Path) -> None:
    place = f"{REPO}/code-scanning/alerts"
    assert (await world.call("GET", place, status=404))["message"] == "no analysis found"
    scanning, repository = world.scanning, await world.repository()
    for _ in range(2):
        scanning.keep(repository, sarif(tmp_path, "one", "two"))
    found = await world.call("GET", place)
    assert [(item["number"], item["state"], item["rule"]["security_severity_level"]) for item in found] == [
        (1, "open", "high"),
        (2, "open", "high"),
    ]
    scanning.keep(repository, sarif(tmp_path, "two"))
    assert [item["rule"]["id"] for item in await world.call("GET", f"{place}?state=open")] == ["two"]
    assert [item["rule"]["id"] for item in await world.call("GET", f"{place}?state=fixed")] == ["one"]
    scanning.keep(repository, sarif(tmp_path))
    assert await world.call("GET", f"{place}?state=open") == [], "analysed, and nothing found"


async def test_an_attestation_is_found_by_digest_and_kind(world: Evidence, tmp_path: Path) -> None:
    job, subject = await world.job(tmp_path), {"subject-name": "registry/payments-api", "subject-digest": DIGEST}
    place = f"{REPO}/attestations/{DIGEST}"
    await world.call("GET", place, status=404)
    await world.attestations.attest(subject, job)
    (tmp_path / "sbom.json").write_text('{"spdxVersion": "SPDX-2.3"}')
    await world.attestations.attest(subject | {"sbom-path": "sbom.json"}, job)
    assert len((await world.call("GET", place))["attestations"]) == 2
    for kind in (PROVENANCE, SPDX):
        (found,) = (await world.call("GET", f"{place}?predicate_type={kind}"))["attestations"]
        statement = json.loads(base64.b64decode(found["bundle"]["dsseEnvelope"]["payload"]))
        assert statement["predicateType"] == kind
        assert found["bundle"]["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    bundle = found["bundle"]
    assert (await world.call("POST", f"{REPO}/attestations", {"bundle": bundle}, status=201))["id"]
    await world.call("POST", f"{REPO}/attestations", {"bundle": {"dsseEnvelope": {"payload": "e30="}}}, status=422)
    with pytest.raises(ValueError, match="not accessible"):
        await world.attestations.attest(subject, await world.job(tmp_path, "read"))
    with pytest.raises(ValueError, match="must be provided"):
        await world.attestations.attest({"subject-name": "x", "subject-digest": "latest"}, job)


async def test_gh_believes_the_signer_and_nobody_else(world: Evidence, tmp_path: Path) -> None:
    runner_tools.install(tmp_path / "tools", world.kernel.root / "ca" / "attestations.pem")
    job, subject = await world.job(tmp_path), {"subject-name": "registry/payments-api", "subject-digest": DIGEST}
    await world.attestations.attest(subject, job)

    async def verify(digest: str = DIGEST, ref: str = "refs/heads/main", **variables: str) -> tuple[int, str]:
        given = ("--repo", "contoso/payments-api", "--signer-workflow", WORKFLOW, "--source-ref", ref)
        artifact = f"oci://registry/payments-api@{digest}"
        return await world.run(tmp_path, "gh", "attestation", "verify", artifact, *given, **variables)

    code, told = await verify(GH_TOKEN=world.token)
    assert (code, "1 attestation(s) verified" in told) == (0, True), told
    assert "GH_TOKEN" in (await verify())[1]
    code, told = await verify(ref="refs/heads/other", GH_TOKEN=world.token)
    assert (code, "was signed by" in told) == (1, True), told
    assert "HTTP 404" in (await verify("sha256:" + "8" * 64, GH_TOKEN=world.token))[1]
    assert "by digest only" in (await verify("latest", GH_TOKEN=world.token))[1]
    (stored,) = (await world.call("GET", f"{REPO}/attestations/{DIGEST}"))["attestations"]
    forged = json.loads(base64.b64decode(stored["bundle"]["dsseEnvelope"]["payload"]))
    forged["subject"][0]["digest"]["sha256"] = "9" * 64
    stored["bundle"]["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(forged).encode()).decode()
    await world.call("POST", f"{REPO}/attestations", {"bundle": stored["bundle"]}, status=201)
    code, told = await verify("sha256:" + "9" * 64, GH_TOKEN=world.token)
    assert code == 1, "anybody may store; a signature that does not fit proves nothing"
    assert "not `gh release list`" in (await world.run(tmp_path, "gh", "release", "list"))[1]


@pytest.fixture
def schemas() -> dict[str, Any]:
    """GitHub's own description of its documents."""
    if "APPSTORE_CONTRACTS" not in os.environ:
        pytest.skip("the vendors' contracts are not here")
    description = json.loads(Path(os.environ["APPSTORE_CONTRACTS"], "github.openapi.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = description["components"]["schemas"]
    return found


async def test_deployments_fit_githubs_own_description(world: Evidence, schemas: dict[str, Any]) -> None:
    made = await world.deployed("dev", "success")
    (status,) = await world.call("GET", f"{DEPLOYMENTS}/{made['id']}/statuses")
    for document, name in ((made, "deployment"), (status, "deployment-status")):
        assert set(schemas[name]["required"]) <= document.keys()
        assert set(document) <= set(schemas[name]["properties"]), "and nothing that GitHub does not have"
