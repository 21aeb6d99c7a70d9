"""What is stored about digests, and the actions that make it in a workflow's job."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from aiohttp import web

from local.vendors.github.api import ApiError, Json, now, page
from local.vendors.github_evidence.evidence import Call
from local.vendors.kernel import Kernel

from .authority import Authority

STATEMENT, PROVENANCE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
SPDX = "https://spdx.dev/Document/v2.3"
BUILD_TYPE = "https://actions.github.io/buildtypes/workflow/v1"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Attestations:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._store = kernel.store("github_attestations")
        self._file = kernel.data_dir.parent / "ca" / "attestations.pem"

    async def start(self) -> None:
        self._authority = Authority(self._file)

    async def listing(self, call: Call) -> web.Response:
        digest = call.request.match_info["digest"]
        found = [value for _, value in call.store.list(call.key(f"{digest}/"))]
        wanted = call.request.query.get("predicate_type")
        found = [item for item in found if wanted in (None, item["kind"])]
        if not found:
            raise ApiError(404, "Not Found")
        answer = page(call.request, [{name: item[name] for name in item if name != "kind"} for item in found])
        links = {"Link": answer.headers["Link"]} if "Link" in answer.headers else {}
        return web.json_response({"attestations": json.loads(answer.text or "[]")}, headers=links)

    async def create(self, call: Call) -> web.Response:
        """What anybody with the permission may store: whether it is true is for those who verify."""
        try:
            number = self._keep(call.repository, call.body["bundle"])
        except (KeyError, ValueError, TypeError):
            raise ApiError(422, "Validation Failed", resource="Attestation", code="invalid", field="bundle") from None
        return web.json_response({"id": number}, status=201)

    async def attest(self, inputs: dict[str, str], job: Any) -> dict[str, str]:
        """actions/attest-build-provenance and actions/attest-sbom: a statement about a digest, signed and stored."""
        if (job.spec.get("permissions") or {}).get("attestations") != "write":
            raise ValueError("Failed to persist attestation: Resource not accessible by integration")
        digest = inputs.get("subject-digest", "")
        if not DIGEST.fullmatch(digest):
            raise ValueError("One of subject-path, subject-digest, or subject-checksums must be provided")
        token = self._kernel.vendor("actions").id_token(job, "sigstore")
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        sbom = inputs.get("sbom-path")
        kind, predicate = _sbom(job.workspace / sbom) if sbom else (PROVENANCE, _provenance(claims))
        subject = {"name": inputs["subject-name"], "digest": {"sha256": digest.removeprefix("sha256:")}}
        statement = {"_type": STATEMENT, "subject": [subject], "predicateType": kind, "predicate": predicate}
        number = self._keep(job.repository, self._authority.bundle(claims, statement))
        job.log(f"Attestation uploaded to repository: {number}")
        return {"attestation-id": str(number)}

    def _keep(self, repository: Any, bundle: Json) -> int:
        statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        with self._store.transaction():
            number: int = (self._store.get("counter") or 5_000_000) + 1
            self._store.put("counter", number)
            for subject in statement["subject"]:
                key = f"{repository.id}/sha256:{subject['digest']['sha256']}/{number}"
                item = {"bundle": bundle, "repository_id": repository.id, "initiator": "user", "created_at": now()}
                self._store.put(key, item | {"bundle_url": "", "kind": statement["predicateType"]})
        return number


def _sbom(file: Path) -> tuple[str, Json]:
    document = json.loads(file.read_text())
    if "spdxVersion" not in document:
        raise ValueError("Unsupported SBOM format")
    return SPDX, document


def _provenance(claims: Json) -> Json:
    """https://slsa.dev/spec/v1.0/provenance as actions/attest-build-provenance fills it."""
    path, _, ref = claims["workflow_ref"].removeprefix(f"{claims['repository']}/").partition("@")
    source = f"https://github.com/{claims['repository']}"
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"workflow": {"ref": ref, "repository": source, "path": path}},
            "internalParameters": {
                "github": {"event_name": claims["event_name"], "runner_environment": "github-hosted"}
            },
            "resolvedDependencies": [{"uri": f"git+{source}@{claims['ref']}", "digest": {"gitCommit": claims["sha"]}}],
        },
        "runDetails": {
            "builder": {"id": f"https://github.com/{claims['job_workflow_ref']}"},
            "metadata": {"invocationId": f"{source}/actions/runs/{claims['run_id']}/attempts/{claims['run_attempt']}"},
        },
    }
