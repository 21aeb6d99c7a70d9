"""A release at GitHub: the evidence about it, its gates, and the pipeline that brings it to a stage."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from activities._activity import activity, look
from activities._promotion import move
from shared import approval_rules, attestations, freezes, policies, releases
from shared.approvals import ApprovalNeed
from shared.canonical import canonical_json, sha256_hex
from shared.clients import blobs, github_actions, github_evidence
from shared.clients._github import owner
from shared.clients.github_evidence import AttestationSettings, DeploymentAnswer
from shared.clock import utc_now
from shared.errors import (
    PolicyViolationError,
    TransientIntegrationError,
    VendorCall,
)
from shared.models.policy_decision import About
from shared.models.problem import Problem
from shared.models.promotions import (
    EvaluatePromotion,
    PromotionDocument,
    PromotionKind,
    PromotionRecord,
    PromotionSnapshot,
    PromotionState,
    Release,
    StartPromotion,
    VerifyRelease,
)
from shared.models.runs import Nothing, PipelineRun, ReadPipelineRun
from shared.policies import Judgement, Verdict
from shared.register import policy_decisions, promotions, requests
from shared.register.audit import Entry
from shared.releases import Deployed, Evidence
from shared.settings import AppStoreSettings, load

WORKFLOW = "promote.yml"
_S = PromotionState
_LOOKED_AT = 5  # deployments of a stage whose status is asked for, besides those of the release


@look
async def evaluate_promotion(data: EvaluatePromotion) -> PromotionSnapshot:
    """Gather what GitHub knows of the release, have the rules judge it, and put the promotion up or refuse it.

    Idempotency: one transition per attempt; a promotion that was judged already is only reported.
    """
    record = await promotions.get(data.run.application, data.run.request_id)
    if record.state is not _S.EVALUATING or record.attempt != data.run.attempt:
        return PromotionSnapshot.of(record)
    evidence, release = await _gather(record)
    if not release.digest:
        stage = record.source if record.kind is PromotionKind.PROMOTE else record.target
        problem = Problem(
            code="no-release",
            title="There is nothing to promote",
            detail=f"GitHub has no record of an image of {record.application} that answered in {stage}.",
        )
        return PromotionSnapshot.of(await _refuse(record, release, problem))
    judgement, denied = await _judge(record, release, evidence, data.at)
    await policy_decisions.keep(record.application, [judgement.decision])
    if denied:
        return PromotionSnapshot.of(await _refuse(record, release, _denial(denied)))
    return PromotionSnapshot.of(await _put_up(record, release, evidence, judgement, data.at))


async def _gather(record: PromotionRecord) -> tuple[Evidence, Release]:
    """The release that is asked for, and everything that GitHub knows about it."""
    name = record.application
    stages = list(dict.fromkeys([*releases.stages_before(record.target), record.target]))
    listed = await asyncio.gather(*(github_evidence.list_deployments(name, stage) for stage in stages))
    # A promotion that is judged again stays with its release, whatever runs in the stage by now.
    digest = (record.release.digest if record.release else record.asked_digest) or await _running_digest(
        name, dict(zip(stages, listed, strict=True)), record.source
    )
    deployments = [item for found in listed for item in await _with_status(name, found, digest)]
    if not digest:
        return Evidence(deployments, []), Release(repository=f"{owner()}/{name}", commit="", digest="")
    roots = load(AttestationSettings).roots
    answers = await github_evidence.list_attestations(name, digest)
    trusted = attestations.read_roots(roots) if roots else None
    evidence = Evidence(deployments, releases.attested([item.bundle for item in answers], trusted))
    release = releases.release_of(f"{owner()}/{name}", digest, evidence)
    runs = await github_evidence.list_check_runs(name, release.commit) if release.commit else []
    alerts = await github_evidence.list_alerts(name)
    checks = [
        {"name": run.name, "headSha": run.head_sha, "app": run.app.slug, "status": run.status, "link": run.html_url}
        | ({"conclusion": run.conclusion} if run.conclusion else {})
        for run in runs
    ]
    found = (
        None
        if alerts is None
        else [
            {
                "number": alert.number,
                "state": alert.state,
                "severity": alert.rule.security_severity_level or alert.rule.severity or "unknown",
            }
            for alert in alerts
        ]
    )
    calendar = [freeze.evidence() for freeze in freezes.freezes()]
    return Evidence(evidence.deployments, evidence.attestations, checks, found, calendar), release


async def _running_digest(name: str, listed: dict[str, list[DeploymentAnswer]], stage: str) -> str:
    now = releases.running(await _with_status(name, listed.get(stage, []), None), stage)
    return now.digest if now else ""


async def _with_status(name: str, listed: Sequence[DeploymentAnswer], digest: str | None) -> list[Deployed]:
    """The newest deployments of a stage and those of one image, each with its newest status."""
    wanted = [item for index, item in enumerate(listed) if index < _LOOKED_AT or item.digest == digest]
    states = await asyncio.gather(*(github_evidence.read_deployment_status(name, item.id) for item in wanted))
    return [
        Deployed(item.environment, item.sha, item.digest, state.state, state.created_at)
        for item, state in zip(wanted, states, strict=True)
        if state
    ]


async def _judge(
    record: PromotionRecord, release: Release, evidence: Evidence, at: str
) -> tuple[Judgement, list[Verdict]]:
    """What the rules say, and what of it stands in the way."""
    body = (await requests.get(record.application, record.request_id)).body
    about = About(request_id=record.id, application=record.application, environment=record.target)
    asked = releases.question(record, body, release, evidence, at)
    judgement = await policies.judge(policies.PROMOTION_RULES, asked, about)
    denied = [found for found in judgement.verdicts.deny if releases.stands_in_the_way(record, found.id)]
    if record.kind is PromotionKind.ROLL_BACK and not _ran_there(record, release, evidence):
        detail = f"The image never answered in {record.target}: going back to it is no roll back."
        denied.append(Verdict(id="PRM-002", severity="error", message=detail, path="/deployments"))
    return judgement, denied


def _ran_there(record: PromotionRecord, release: Release, evidence: Evidence) -> bool:
    there = [item for item in evidence.deployments if item.environment == record.target]
    return any(item.ran and item.digest == release.digest for item in there)


def _denial(denied: list[Verdict]) -> Problem:
    sentences = " ".join(f"{found.id}: {found.message}" for found in denied)
    rules = sorted({found.id for found in denied})
    return Problem(code="policy-denied", title="A gate is closed", detail=sentences[:1500], rules=rules)


async def _refuse(record: PromotionRecord, release: Release, problem: Problem) -> PromotionRecord:
    entry = Entry(f"{record.id}:refused:{record.attempt}", utc_now(), "appstore", "refuse", record.id, problem.detail)
    update = {"state": _S.REFUSED, "problem": problem, "release": release if release.digest else None}
    return await move(record, update, entry, expect=(_S.EVALUATING,))


async def _put_up(
    record: PromotionRecord, release: Release, evidence: Evidence, judgement: Judgement, at: str
) -> PromotionRecord:
    """Seal the document that says what goes where on which evidence; without a need of approvals it goes on at once."""
    findings = [found.id for found in judgement.verdicts.require_approval]
    needs = await _needs(record, findings) if findings else []
    previous = releases.running(evidence.deployments, record.target)
    document = {
        "promotion": {"id": record.id, "application": record.application, "kind": record.kind, "reason": record.reason},
        "from": record.source,
        "to": record.target,
        "release": release.document(),
        "previous": previous.evidence() if previous else None,
        "evidence": {
            "deployments": [item.evidence() for item in evidence.deployments],
            "checkRuns": list(evidence.check_runs),
            "attestations": [item.evidence(release.digest) for item in evidence.attestations],
            "alerts": list(evidence.alerts or []),
            "freezes": list(evidence.freezes),
            "time": at,
        },
        "verdicts": judgement.verdicts.document(),
        "approvals": [need.document() for need in needs],
    }
    content = canonical_json(document)
    digest = sha256_hex(content)
    blob = f"{record.id}/{digest}.json"
    await blobs.write_document(blob, content)
    reference = PromotionDocument(
        digest=digest,
        blob=blob,
        rules_revision=judgement.verdicts.revision,
        approvals=[dict(need.document()) for need in needs],
        warnings=[found.id for found in judgement.verdicts.warn],
        previous=previous.digest if previous else "",
    )
    deadline = datetime.now(UTC) + timedelta(hours=load(AppStoreSettings).approval_hours)
    update = {
        "release": release,
        "document_reference": reference,
        "approvals": [],
        "problem": None,
        "state": _S.AWAITING_APPROVAL if needs else _S.DEPLOYING,
        "approved_digest": None if needs else digest,
        "decide_before": deadline.isoformat(timespec="milliseconds").replace("+00:00", "Z") if needs else None,
    }
    detail = f"{release.digest[:19]} may go to {record.target} by the rules {reference.rules_revision[:12]}"
    entry = Entry(f"{record.id}:judged:{record.attempt}", utc_now(), "appstore", "judge", record.id, detail)
    return await move(record, update, entry, expect=(_S.EVALUATING,))


async def _needs(record: PromotionRecord, findings: list[str]) -> list[ApprovalNeed]:
    """Approvals that the findings ask for. What ServiceNow decides, it decides about the change that comes with it."""
    body = (await requests.get(record.application, record.request_id)).body
    facts = approval_rules.Facts(
        archetype=body.archetype,
        environments=frozenset({record.target}),
        classification=str(body.data_classification),
        criticality=str(body.criticality),
        monthly=Decimal(0),
        findings=frozenset(findings),
    )
    return [need for need in approval_rules.needed(facts, record.requester) if need.decided_in == "appstore"]


@activity
async def start_release(data: StartPromotion) -> PipelineRun:
    """Have the gates judged once more, then start the repository's own pipeline for this release.

    Idempotency: the run's name carries the operation; an existing run of that name is returned.

    Raises:
        PolicyViolationError: a gate closed since: another image runs in the stage before, or a freeze began.
    """
    record = await promotions.get(data.run.application, data.run.request_id)
    name, title = record.application, f"promote {data.operation} to {record.target}"
    found = await github_actions.find_run(name, WORKFLOW, title, record.created_at)
    if found is None:
        await _require_open(record, data.release)
        inputs = {
            "environment": record.target,
            "digest": data.release.digest,
            "commit": data.release.commit,
            "operation": data.operation,
        }
        found = await github_actions.read_run(name, await github_actions.dispatch(name, WORKFLOW, inputs))
    return PipelineRun(repository=name, run_id=found.id, status=found.status, link=found.html_url)


async def _require_open(record: PromotionRecord, approved: Release) -> None:
    """Demand that the gates are open now, and that it is still the release that was allowed.

    Raises:
        PolicyViolationError: they are not.
    """
    evidence, release = await _gather(record)
    judgement, denied = await _judge(record, release, evidence, utc_now())
    await policy_decisions.keep(record.application, [judgement.decision])
    if (release.digest, release.commit) != (approved.digest, approved.commit):
        raise PolicyViolationError(("PRM-003",), f"The release is built from {release.commit or 'nothing known'} now.")
    if denied:
        problem = _denial(denied)
        raise PolicyViolationError(tuple(problem.rules), problem.detail)


@activity
async def read_release(data: ReadPipelineRun) -> PipelineRun:
    """Judge the finished pipeline of a promotion.

    Idempotency: reads only.

    Raises:
        PermanentIntegrationError: the run failed; the sentence names job and step.
    """
    found = await github_actions.require_success(data.repository, data.run_id)
    return PipelineRun(
        repository=data.repository,
        run_id=found.id,
        status=found.status,
        conclusion=found.conclusion,
        link=found.html_url,
        detail="copied, verified and deployed",
    )


@activity
async def verify_record(data: VerifyRelease) -> Nothing:
    """Look whether GitHub's record says that this image runs in the stage: the next promotion begins from there.

    Idempotency: reads only.

    Raises:
        TransientIntegrationError: it says something else, or nothing yet.
    """
    promotion = await promotions.get(data.run.application, data.run.request_id)
    name, stage = promotion.application, promotion.target
    listed = await github_evidence.list_deployments(name, stage)
    now = releases.running(await _with_status(name, listed, data.release.digest), stage)
    if now is None or now.digest != data.release.digest:
        seen = now.digest[:19] if now else "nothing"
        detail = f"the newest deployment of {stage} that answered is {seen}, not {data.release.digest[:19]}"
        raise TransientIntegrationError(VendorCall("github", "list deployments", 200), detail)
    return Nothing(
        detail=f"recorded since {now.since}", link=f"https://github.com/{owner()}/{name}/deployments/{stage}"
    )
