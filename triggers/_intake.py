"""Judging a request without any effect, and taking it in exactly once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import azure.durable_functions as df

from shared import (
    allotments,
    approval_rules,
    approvals,
    approvers,
    archetypes,
    authorisation,
    landing_zones,
    lifecycle,
    policies,
    quotas,
    teams,
)
from shared import plan as plans
from shared.authorisation import ORDER, Subject
from shared.canonical import digest
from shared.clients import azure_boards, backstage, github_projects, grafana, servicenow, slack
from shared.clients import teams as teams_chat
from shared.clients._github import owner
from shared.clock import utc_now
from shared.errors import (
    ConfigurationError,
    PolicyViolationError,
    RequestRejectedError,
    StateConflictError,
    TransientIntegrationError,
    VendorCall,
)
from shared.identity import Caller
from shared.instance_ids import onboard_instance, request_id
from shared.landing_zones import LandingZone
from shared.log import LOGGER
from shared.models.application_request import ApplicationRequest, EnvironmentName
from shared.models.plan import Change
from shared.models.policy_decision import About, PolicyDecision
from shared.models.records import (
    RUNNING_STATES,
    ApplicationRecord,
    ClaimRecord,
    ClaimState,
    RequestRecord,
    RequestState,
)
from shared.models.runs import OnboardInput, Pace
from shared.prices import Estimate
from shared.quotas import Use
from shared.register import claims, policy_decisions, requests, reservations
from shared.register.audit import Entry
from shared.settings import AppStoreSettings, load
from shared.telemetry import spans
from triggers._sweeping import older

_OPTIONAL = {
    "servicenow": servicenow.configured,
    "grafana": grafana.configured,
    "teams": teams_chat.configured,
    "slack": slack.configured,
    "backstage": backstage.configured,
    "backstage-template": backstage.runs_template,
    "github_projects": github_projects.configured,
    "azure_boards": azure_boards.configured,
}


@dataclass(frozen=True)
class Judged:
    """A request that may be made: what it makes, costs and needs."""

    body: ApplicationRequest
    zones: dict[str, LandingZone]
    systems: list[str]
    changes: list[Change]
    estimate: Estimate
    judgement: policies.Judgement
    needs: list[approvals.ApprovalNeed]
    eligible: approvers.Eligible
    used: Use
    placed: Use

    @property
    def exceeded(self) -> list[str]:
        """Limits of the team's quota that the request would pass, by what the team uses at this moment."""
        return quotas.exceeded(quotas.find(self.body.owner_team), self.used, quotas.use_of(self.estimate))

    @property
    def full(self) -> list[str]:
        """Landing zones that have no room for the request at this moment."""
        return landing_zones.full(self.placed.items, [zone.name for zone in self.zones.values()])


async def judge(body: ApplicationRequest, caller: Caller) -> Judged:
    """Check a request against catalogue, teams, landing zones and rules; reads the register and who could approve.

    Raises:
        RequestRejectedError: 403 or 422 naming the field.
        PolicyViolationError: a rule denies it.
        ConfigurationError: production, or a rule that is decided there, without ServiceNow.
    """
    archetype = archetypes.find(body.archetype)
    if not authorisation.may_order(caller, archetype.roles):
        raise RequestRejectedError(
            "forbidden", f"Ordering {body.archetype} needs the role {' or '.join(archetype.roles)}.", status=403
        )
    teams.find(body.owner_team)
    if authorisation.why_not(caller, ORDER, Subject("", body.owner_team)):
        raise RequestRejectedError(
            "forbidden", f"You are not a member of {body.owner_team}.", status=403, pointer="/ownerTeam"
        )
    for name in body.environments:
        if name not in archetype.environments:
            detail = f"{body.archetype} has no environment {name}."
            raise RequestRejectedError("unknown-environment", detail, pointer="/environments")
    lifecycle.require_end(body.archetype, body.environments, body.expires_on, datetime.now(UTC).date())
    zones = plans.find_zones(body)
    systems = [name for name, configured in _OPTIONAL.items() if configured()]
    if EnvironmentName.PROD in body.environments and "servicenow" not in systems:
        raise ConfigurationError("SERVICENOW_INSTANCE", "production is not changed without a change request")
    changes = plans.expected_changes(body, f"{owner()}/{body.name}", systems, terraform=True)
    estimate = plans.estimate(body)
    question = {"request": body.document(), "estimate": {"monthly": estimate.monthly}, "time": _now()}
    judgement = await policies.judge(policies.REQUEST_RULES, question, About(application=body.name))
    verdicts = judgement.verdicts
    if verdicts.denied:
        sentences = " ".join(f"{verdict.id}: {verdict.message}" for verdict in verdicts.deny)
        raise PolicyViolationError(verdicts.denying_rules, sentences)
    findings = [verdict.id for verdict in verdicts.require_approval]
    needs = approval_rules.needed(plans.facts_of(body, estimate, findings, destructive=False), caller.id)
    approvers.require_decidable(needs, systems)
    eligible = await approvers.eligible(needs)
    used, placed = await reservations.used(body.owner_team), await reservations.used(reservations.ZONES)
    return Judged(body, zones, systems, changes, estimate, judgement, needs, eligible, used, placed)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def preview_document(judged: Judged) -> dict[str, Any]:
    """The preview: an estimate, said to be one."""
    return {
        "kind": "estimate",
        "changes": [change.document() for change in judged.changes],
        "estimate": judged.estimate.document(),
        "approvals": [need.document() for need in judged.needs],
        "approvers": {
            "checked": judged.eligible.unknown is None,
            "lacking": [need.rule for need in judged.eligible.lacking],
            "warning": judged.eligible.unknown or judged.eligible.nobody,
        },
        "verdicts": judged.judgement.verdicts.document(),
        "quota": {
            "team": judged.body.owner_team,
            "limits": quotas.find(judged.body.owner_team).document(),
            "used": judged.used.document(),
            "exceeded": judged.exceeded,
        },
        "landingZones": {name: zone.name for name, zone in judged.zones.items()},
        "full": judged.full,
        "budget": {"monthly": f"{judged.body.monthly_budget:.2f}", "currency": judged.body.currency},
    }


async def already_taken_in(caller: Caller, key: str, body: ApplicationRequest) -> RequestRecord | None:
    """The request that this caller sent under this key before: a repeat is not judged again.

    Raises:
        RequestRejectedError: 409, the key was used for another body.
    """
    claim = await claims.get(request_id(caller.tenant, caller.id, key))
    if claim is None:
        return None
    _require_same(claim, body)
    return await requests.find(claim.application, claim.request_id) if claim.state is ClaimState.STARTED else None


def _require_same(claim: ClaimRecord, body: ApplicationRequest) -> None:
    if claim.body_hash != body_hash(body):
        detail = f"This Idempotency-Key was used for another request ({claim.request_id})."
        raise RequestRejectedError("idempotency-key-reused", detail, status=409)


def body_hash(body: ApplicationRequest) -> str:
    """Digest of what is asked for: 900 and 900.00 are the same, and so is a default that a later version adds."""
    document = body.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return digest(document | {"monthlyBudget": f"{body.monthly_budget:.2f}"})


async def take_in(client: df.DurableOrchestrationClient, caller: Caller, key: str, judged: Judged) -> RequestRecord:
    """Claim the key, record the request, start its orchestration; every repeat ends at the same request.

    Raises:
        RequestRejectedError: 409, the key was used for another body, the name is taken, or the team's quota is used up;
            422, nobody but the requester could approve.
    """
    body = judged.body
    if (nobody := judged.eligible.nobody) is not None:
        raise RequestRejectedError("no-approver", nobody)
    now, identifier, attempt = utc_now(), request_id(caller.tenant, caller.id, key), uuid4().hex
    mine = ClaimRecord(
        request_id=identifier,
        application=body.name,
        body_hash=body_hash(body),
        attempts=(attempt,),
        caller=caller.id,
        owner_team=body.owner_team,
        state=ClaimState.CLAIMED,
        claimed_at=now,
    )
    claim = await claims.claim(mine)
    _require_same(claim, body)
    if claim.state is ClaimState.STARTED:
        found = await requests.find(claim.application, identifier)
        if found:
            return found
    await _take(identifier, attempt, judged)
    await _require_claimed(identifier, attempt)
    record = await _create(_record(identifier, caller, judged, now), judged.judgement.decision, attempt)
    try:
        await start(client, record)
        await claims.set_state(claim, ClaimState.STARTED)
    except Exception:  # noqa: BLE001 - the request is recorded and stands; the SDK raises bare Exception
        LOGGER.exception("%s is recorded but not started yet: the sweep will start it", record.id)
    return record


async def _take(identifier: str, attempt: str, judged: Judged) -> None:
    """Take what the request uses for this attempt. An attempt that is refused leaves no trace."""
    zones = [zone.name for zone in judged.zones.values()]
    try:
        await allotments.take(identifier, judged.body.owner_team, judged.estimate, zones, holder=attempt)
    except RequestRejectedError:
        await claims.withdraw(identifier, attempt)
        raise


async def _require_claimed(identifier: str, attempt: str) -> None:
    """Demand that the sweep has not given this attempt up: the key may be in use for something else by now."""
    claim = await claims.get(identifier)
    if claim is None or (claim.state is ClaimState.CLAIMED and attempt not in claim.attempts):
        raise TransientIntegrationError(VendorCall("register", "claim"), "taking the request in took too long")


async def _create(record: RequestRecord, decided: PolicyDecision, attempt: str) -> RequestRecord:
    archetype = archetypes.find(record.body.archetype)
    reservation = ApplicationRecord(
        name=record.application,
        archetype=archetype.id,
        archetype_version=archetype.version,
        owner_team=record.body.owner_team,
        request_id=record.id,
        state="reserved",
        environments=[str(name) for name in record.body.environments],
        created_at=record.created_at,
        expires_on=record.body.expires_on.isoformat() if record.body.expires_on else None,
    )
    detail = f"{archetype.id} {record.application} for {record.body.owner_team}"
    entry = Entry(f"{record.id}:request", record.created_at, record.requester, "request", record.id, detail)
    about = decided.about.model_copy(update={"request_id": record.id})
    decision = policy_decisions.insertion(decided.model_copy(update={"about": about}))
    try:
        return await requests.create(record, reservation, entry, [decision])
    except StateConflictError as error:
        await allotments.let_go(record.id, record.body.owner_team, attempt)
        await claims.withdraw(record.id, attempt)
        detail = f"The name {record.application} is taken; {record.application}-2 may be free."
        raise RequestRejectedError("name-taken", detail, status=409, pointer="/name") from error


def _record(identifier: str, caller: Caller, judged: Judged, now: str) -> RequestRecord:
    body = judged.body
    return RequestRecord(
        id=identifier,
        application=body.name,
        state=RequestState.RECEIVED,
        tenant=caller.tenant,
        requester=caller.id,
        requester_name=caller.name,
        body=body,
        body_hash=body_hash(body),
        instance_id=onboard_instance(identifier, 1),
        systems=judged.systems,
        zones={name: zone.document() for name, zone in judged.zones.items()},
        created_at=now,
        updated_at=now,
    )


def pace() -> Pace:
    """Waiting times of a new run, from the settings."""
    settings = load(AppStoreSettings)
    return Pace(
        poll_seconds=settings.poll_seconds,
        retry_seconds=settings.retry_seconds,
        retry_attempts=settings.retry_attempts,
        run_minutes=settings.run_minutes,
    )


def history_kept() -> timedelta:
    """How long the history of an orchestration is kept after its end: never longer than the rows that name it."""
    settings = load(AppStoreSettings)
    return timedelta(days=min(settings.history_days, settings.retention_days))


async def start(client: df.DurableOrchestrationClient, record: RequestRecord) -> None:
    """Start the request's orchestration unless it has been started; ``start_new`` alone is no claim."""
    payload = OnboardInput(request_id=record.id, application=record.application, attempt=record.attempt, pace=pace())
    # One that was cancelled before anything began has to run for that, whenever it is found.
    open_ = record.state in RUNNING_STATES or record.state is RequestState.CANCELLED
    settled = None if open_ else record.updated_at
    await start_once(client, "onboard", record.instance_id, payload.document(), settled_at=settled)


async def start_once(
    client: df.DurableOrchestrationClient,
    name: str,
    instance: str,
    payload: dict[str, object],
    *,
    settled_at: str | None = None,
) -> None:
    """Start an orchestration if there is none with this id, running or finished.

    What was settled so long ago that its history may be gone (``timer_histories``) is never started again.
    """
    if settled_at and older(settled_at, history_kept().total_seconds()):
        LOGGER.info("%s was settled at %s and is not started again", instance, settled_at)
        return
    status = await client.get_status(instance)
    if status and status.runtime_status:
        return
    try:
        with spans.carried(str(payload["requestId"])):
            await client.start_new(name, instance, payload)
    except Exception:  # the SDK raises bare Exception: a concurrent repeat may have started it in between
        status = await client.get_status(instance)
        if not (status and status.runtime_status):
            raise
