"""A release with its evidence at GitHub's stand-in: what a pipeline leaves there, without building anything."""

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

from local.vendors.github_attestations.authority import Authority
from shared.instance_ids import promote_instance, promotion_id
from shared.models.promotions import PromotionKind, PromotionRecord, PromotionState
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Run
from shared.register import promotions, requests
from shared.register._table import Write, commit, document_of, read
from shared.register.audit import Entry
from tests.integration.world import World, run_of

DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
SPDX, SLSA = "https://spdx.dev/Document/v2.3", "https://slsa.dev/provenance/v1"
CHECKS = """\
name: ci
on: workflow_dispatch
jobs:
"""
CHECK = """\
  {key}:
    name: {name}
    runs-on: ubuntu-latest
    steps:
      - run: "{command}"
"""
PROMOTE = """\
name: promote
run-name: promote ${{ inputs.operation }} to ${{ inputs.environment }}
on:
  workflow_dispatch:
    inputs:
      environment: {type: string}
      digest: {type: string}
      commit: {type: string}
      operation: {type: string}
jobs:
  nothing:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
"""


@dataclass
class Source:
    """An application whose image runs in dev, as its pipeline would have left it."""

    world: World
    request: RequestRecord
    commit: str
    number: int

    @property
    def name(self) -> str:
        return self.request.application

    @property
    def place(self) -> str:
        return f"/repos/contoso/{self.name}"

    def deployed(self, stage: str, digest: str = DIGEST, *, days_ago: float = 5, commit: str = "") -> None:
        """A deployment that answered, so long ago."""
        body = {"ref": commit or self.commit, "environment": stage, "payload": {"digest": digest}}
        made = self.world.github(f"{self.place}/deployments", "POST", body | {"required_contexts": []})
        state = {"state": "success", "auto_inactive": False}
        self.world.github(f"{self.place}/deployments/{made['id']}/statuses", "POST", state)
        self._backdate(made["id"], days_ago)

    def _backdate(self, deployment: int, days: float) -> None:
        """Time passes at the vendor, not in the test."""
        then = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86400))
        document = self.world.github(f"{self.place}/deployments/{deployment}")
        states = self.world.github(f"{self.place}/deployments/{deployment}/statuses")
        aged = document | {"created_at": then, "statuses": [state | {"created_at": then} for state in states]}
        self.world.seed("github_evidence", {f"{self.number}/deployment/{deployment}": aged})

    def attested(self, kind: str, digest: str = DIGEST, *, workflow: str = "ci.yml", commit: str = "") -> None:
        """A signed statement about the image."""
        authority = Authority(self.world.stack.directory / "ca" / "attestations.pem")
        claims = {
            "job_workflow_ref": f"contoso/{self.name}/.github/workflows/{workflow}@refs/heads/main",
            "repository": f"contoso/{self.name}",
            "repository_id": str(self.number),
            "runner_environment": "github-hosted",
            "sha": commit or self.commit,
            "ref": "refs/heads/main",
            "event_name": "push",
        }
        source = {"digest": {"gitCommit": commit or self.commit}}
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": self.name, "digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": kind,
            "predicate": {"buildDefinition": {"resolvedDependencies": [source]}} if kind == SLSA else {},
        }
        self.store(authority.bundle(claims, statement))

    def store(self, bundle: dict[str, Any]) -> None:
        """Put a bundle beside the others, as anybody with the permission can."""
        self.world.github(f"{self.place}/attestations", "POST", {"bundle": bundle})

    def checked(self, *names: str, failing: str = "") -> None:
        """Workflow runs of the commit whose jobs have these names."""
        jobs = [
            CHECK.format(key=name.lower(), name=name, command="exit 1" if name == failing else "true") for name in names
        ]
        self.commit = self.world.commit(
            self.name, {".github/workflows/ci.yml": CHECKS + "".join(jobs), ".github/workflows/promote.yml": PROMOTE}
        )
        self.world.github(f"{self.place}/actions/workflows/ci.yml/dispatches", "POST", {"ref": "main"})
        while any(run["status"] != "completed" for run in self._runs()):
            continue

    def _runs(self) -> Any:
        return self.world.github(f"{self.place}/actions/runs")["workflow_runs"]

    def analysed(self) -> None:
        """Code scanning has looked at it and found nothing."""
        self.world.seed("github_evidence", {f"{self.number}/analysed": "2026-11-20T08:00:00Z"})

    async def promotion(
        self, source: str = "dev", target: str = "qa", *, state: str = "evaluating", **fields: Any
    ) -> PromotionRecord:
        """A promotion in the register."""
        number = len(await promotions.of_application(self.name))
        identifier = promotion_id("t", "requester", self.name, str(number))
        record = PromotionRecord(
            id=identifier,
            application=self.name,
            state=PromotionState(state),
            source=source,
            target=target,
            body_hash="x",
            tenant="t",
            requester="requester",
            requester_name="requester",
            owner_team="payments",
            request_id=self.request.id,
            instance_id=promote_instance(identifier, 1),
            created_at=self.request.created_at,
            updated_at=self.request.created_at,
            **fields,
        )
        entry = Entry(f"{identifier}:promote", record.created_at, "requester", "promote", identifier, "test")
        return await promotions.create(record, entry)


async def source(world: World, *, complete: bool = True) -> Source:
    """An application in the register as active, and its repository; with all evidence for qa, or with none."""
    stages, parameters = (
        ["dev", "qa", "prod"],
        {"database": "none", "publicEndpoint": True},
    )  # databases count for a quota
    request = await world.order(environments=stages, criticality="low", parameters=parameters)
    await world.value("ensure_repository", ActivityInput(run=run_of(request)))
    row = await read(request.application, requests.APPLICATION)
    assert row
    active = {**row.document, "state": "active"}
    await commit(request.application, [Write(requests.APPLICATION, active, etag=row.etag)])
    number = world.github(f"/repos/contoso/{request.application}")["id"]
    made = Source(world, request, "", number)
    made.checked("Test", "SAST", "DAST")
    if complete:
        made.deployed("dev")
        made.attested(SLSA)
        made.attested(SPDX)
        made.analysed()
    return made


def run_for(record: PromotionRecord) -> Run:
    """The run that the activities of a promotion work for."""
    return Run(request_id=record.id, application=record.application, branch="promotion", attempt=record.attempt)


def forged(bundle: dict[str, Any], digest: str) -> dict[str, Any]:
    """The same signature under another statement."""
    envelope = bundle["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["subject"][0]["digest"]["sha256"] = digest.removeprefix("sha256:")
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    return {**bundle, "dsseEnvelope": {**envelope, "payload": payload}}


__all__ = ["DIGEST", "OTHER", "PromotionKind", "Source", "document_of", "forged", "run_for", "source"]
