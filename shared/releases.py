"""A release and the evidence about it, as GitHub's answers tell of them; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.attestations import AttestationError, Statement, verify
from shared.models.application_request import ApplicationRequest, EnvironmentName
from shared.models.promotions import PromotionKind, PromotionRecord, Release

PROVENANCE = "https://slsa.dev/provenance/v1"
ORDER = [str(name) for name in EnvironmentName]
# What stands in the way of a new release and not of going back: the stage is to become what it was.
NOT_FOR_ROLL_BACK = frozenset(
    {"PRM-001", "PRM-002", "PRM-003", "PRM-004", "PRM-005", "PRM-006", "PRM-009", "PRM-010", "PRM-011"}
)


@dataclass(frozen=True)
class Deployed:
    """A deployment with its newest status."""

    environment: str
    commit: str
    digest: str
    state: str
    since: str

    @property
    def ran(self) -> bool:
        """Whether it runs now, or ran before a newer one."""
        return self.state in ("success", "inactive")

    def evidence(self) -> dict[str, Any]:
        """As the rules read it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Attested:
    """An attestation; ``statement`` is None when its signature could not be verified."""

    statement: Statement | None
    reason: str = ""

    def evidence(self, digest: str) -> dict[str, Any]:
        """As the rules read it. One that proves nothing is shown as such, and counts for nothing."""
        if self.statement is None:
            return {"predicateType": "", "subjectDigest": "", "signer": "", "verified": False}
        subject = digest if digest in self.statement.subjects else ""
        kind, signer = self.statement.predicate_type, self.statement.signer
        return {"predicateType": kind, "subjectDigest": subject, "signer": signer, "verified": True}


@dataclass(frozen=True)
class Evidence:
    """Everything that is known about a release; None means that nobody could say."""

    deployments: Sequence[Deployed]
    attestations: Sequence[Attested]
    check_runs: Sequence[Mapping[str, Any]] = ()
    alerts: Sequence[Mapping[str, Any]] | None = None
    freezes: Sequence[Mapping[str, Any]] = field(default=())


def attested(bundles: Iterable[dict[str, Any] | None], roots: bytes | None) -> list[Attested]:
    """Verify attestations; without an authority none of them counts."""
    found = []
    for bundle in bundles:
        if roots is None or bundle is None:
            found.append(Attested(None, "there is no bundle, or no authority is configured"))
            continue
        try:
            found.append(Attested(verify(bundle, roots)))
        except AttestationError as error:
            found.append(Attested(None, str(error)))
    return found


def running(deployments: Iterable[Deployed], environment: str) -> Deployed | None:
    """What runs in an environment: what was deployed there last and answered."""
    found = [item for item in deployments if item.environment == environment and item.state == "success"]
    return max(found, key=lambda item: item.since) if found else None


def before(deployments: Iterable[Deployed], environment: str, digest: str) -> Deployed | None:
    """What ran in an environment before an image: the newest other one that ever answered there."""
    found = [item for item in deployments if item.environment == environment and item.ran and item.digest != digest]
    return max(found, key=lambda item: item.since) if found else None


def release_of(repository: str, digest: str, evidence: Evidence) -> Release:
    """The release behind a digest. Its commit is what its verified provenance says; else what a deployment says."""
    signer = f"https://github.com/{repository}/"
    for item in evidence.attestations:
        said = item.statement
        if said and said.predicate_type == PROVENANCE and digest in said.subjects and said.signer.startswith(signer):
            return Release(repository=repository, commit=said.commit, digest=digest, built_at=said.signed_at)
    commit = next((item.commit for item in evidence.deployments if item.digest == digest), "")
    return Release(repository=repository, commit=commit, digest=digest)


def question(
    record: PromotionRecord, body: ApplicationRequest, release: Release, evidence: Evidence, at: str
) -> dict[str, Any]:
    """What the rules are asked: the input of ``appstore/promotion.rego``."""
    return {
        "application": {
            "name": body.name,
            "ownerTeam": body.owner_team,
            "criticality": str(body.criticality),
            "environments": [str(name) for name in body.environments],
            "parameters": dict(body.parameters),
        },
        "release": release.document(),
        "from": record.source,
        "to": record.target,
        "deployments": [item.evidence() for item in evidence.deployments],
        "checkRuns": list(evidence.check_runs),
        "attestations": [item.evidence(release.digest) for item in evidence.attestations],
        **({} if evidence.alerts is None else {"alerts": list(evidence.alerts)}),
        "freezes": list(evidence.freezes),
        "time": at,
    }


def stands_in_the_way(record: PromotionRecord, rule: str) -> bool:
    """Whether a rule's denial counts for this kind of promotion."""
    return record.kind is PromotionKind.PROMOTE or rule not in NOT_FOR_ROLL_BACK


def stages_before(environment: str) -> list[str]:
    """The stages that come before one, in their order."""
    return ORDER[: ORDER.index(environment)]
