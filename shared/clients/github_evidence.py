"""What GitHub knows of a release: deployments, check runs, attestations, code scanning alerts.

Documentation: https://docs.github.com/rest/deployments, https://docs.github.com/rest/checks/runs,
https://docs.github.com/rest/repos/attestations and https://docs.github.com/rest/code-scanning
"""

import itertools
from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.clients._github import GITHUB, owner
from shared.clients._http import Call
from shared.models import Model
from shared.settings import Settings

_PAGE = 100
_PAGES = 5
_NOT_FOUND, _FORBIDDEN = 404, 403


class AttestationSettings(Settings):
    """Whose signatures on attestations count."""

    model_config = SettingsConfigDict(env_prefix="ATTESTATION_", frozen=True, extra="ignore")

    roots: str = Field(
        default="",
        description="File with the certificates (PEM) of the authority that signs GitHub's attestations, its root and "
        "intermediates (`gh attestation trusted-root`); empty: no attestation counts, and nothing is promoted.",
    )


class _Snake(Model):
    model_config = {**Model.model_config, "alias_generator": None}


class DeploymentAnswer(_Snake):
    """A deployment; ``payload`` is what its maker wrote: an object, or text."""

    id: int
    sha: str
    environment: str
    payload: dict[str, Any] | str | None = None
    created_at: str

    @property
    def digest(self) -> str:
        """Digest of the image that it says it deployed; empty for GitHub's own record of a job."""
        value = self.payload.get("digest") if isinstance(self.payload, dict) else None
        return value if isinstance(value, str) else ""


class StatusAnswer(_Snake):
    """A status of a deployment."""

    state: str
    created_at: str


class _App(_Snake):
    slug: str


class CheckRunAnswer(_Snake):
    """A check run of a commit."""

    name: str
    head_sha: str
    status: str
    conclusion: str | None = None
    app: _App
    html_url: str = ""


class AttestationAnswer(_Snake):
    """A stored attestation: a Sigstore bundle, not verified by GitHub's answer."""

    bundle: dict[str, Any] | None = None


class _Rule(_Snake):
    id: str | None = None
    severity: str | None = None
    security_severity_level: str | None = None


class AlertAnswer(_Snake):
    """An alert of code scanning."""

    number: int
    state: str
    rule: _Rule


def _repo(name: str, rest: str) -> str:
    return f"/repos/{owner()}/{name}{rest}"


async def list_deployments(name: str, environment: str) -> list[DeploymentAnswer]:
    """The newest deployments to an environment that say which image they deployed, newest first."""
    found: list[DeploymentAnswer] = []
    for page in range(1, _PAGES + 1):
        params = {"environment": environment, "per_page": f"{_PAGE}", "page": f"{page}"}
        call = Call("list deployments", "GET", _repo(name, "/deployments"), params=params)
        answer = await GITHUB.read(call, list[DeploymentAnswer])
        found += [item for item in answer if item.digest]
        if len(answer) < _PAGE:
            break
    return found


async def read_deployment_status(name: str, deployment: int) -> StatusAnswer | None:
    """The newest status of a deployment; None when it has none."""
    path = _repo(name, f"/deployments/{deployment}/statuses")
    found = await GITHUB.read(
        Call("list deployment statuses", "GET", path, params={"per_page": "1"}), list[StatusAnswer]
    )
    return found[0] if found else None


async def list_check_runs(name: str, commit: str) -> list[CheckRunAnswer]:
    """The latest check runs of a commit."""

    class Listing(_Snake):
        check_runs: list[CheckRunAnswer]

    found: list[CheckRunAnswer] = []
    for page in itertools.count(1):
        params = {"filter": "latest", "per_page": f"{_PAGE}", "page": f"{page}"}
        call = Call("list check runs", "GET", _repo(name, f"/commits/{commit}/check-runs"), params=params)
        answer = (await GITHUB.read(call, Listing)).check_runs
        found += answer
        if len(answer) < _PAGE:
            break
    return found


async def list_attestations(name: str, digest: str) -> list[AttestationAnswer]:
    """The attestations of a digest, as they were stored; nobody has verified them yet."""

    class Listing(_Snake):
        attestations: list[AttestationAnswer]

    path = _repo(name, f"/attestations/{digest}")
    call = Call("list attestations", "GET", path, params={"per_page": f"{_PAGE}"}, expect=(200, _NOT_FOUND))
    answer = await GITHUB.call(call)
    return [] if answer.status == _NOT_FOUND else GITHUB.shaped(call, answer, Listing).attestations


async def list_alerts(name: str) -> list[AlertAnswer] | None:
    """The open alerts of the default branch; None when nothing was ever analysed, or scanning is off."""
    found: list[AlertAnswer] = []
    for page in itertools.count(1):
        params = {"state": "open", "per_page": f"{_PAGE}", "page": f"{page}"}
        path = _repo(name, "/code-scanning/alerts")
        call = Call("list alerts", "GET", path, params=params, expect=(200, _FORBIDDEN, _NOT_FOUND))
        answer = await GITHUB.call(call)
        if answer.status != 200:  # noqa: PLR2004 - HTTP status
            return None
        alerts = GITHUB.shaped(call, answer, list[AlertAnswer])
        found += alerts
        if len(alerts) < _PAGE:
            break
    return found
