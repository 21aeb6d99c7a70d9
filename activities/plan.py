"""The whole-estate plan: assembled from the planned environments, judged by the rules, put up for approval."""

from datetime import UTC, datetime, timedelta
from typing import Any

from activities._activity import look
from activities._transition import advance, entry_of
from shared import allotments, approvers, policies
from shared import plan as plans
from shared.canonical import digest as digest_of
from shared.change_set import deviations
from shared.clients import blobs
from shared.clients._github import owner
from shared.clock import utc_now
from shared.decisions import needs_servicenow
from shared.errors import (
    PermanentIntegrationError,
    PolicyViolationError,
    RequestRejectedError,
    StateConflictError,
    VendorCall,
)
from shared.iac import change_sets
from shared.models.plan import EnvironmentPlan, PlanReference
from shared.models.policy_decision import About
from shared.models.records import RequestRecord, RequestState
from shared.models.runs import ComparePlans, Comparison, PlanSet, SetPlan
from shared.register import policy_decisions, requests
from shared.settings import AppStoreSettings, load

_S = RequestState


@look
async def set_plan(data: SetPlan) -> PlanSet:
    """Assemble the whole-estate plan, have it judged by the rules, and put it up for approval.

    Idempotency: the plan's digest names the blob and the audit entry; a repeat changes nothing.

    Raises:
        PolicyViolationError: a rule denies the plan.
        ConfigurationError: an approval is decided in ServiceNow, which the request does not use.
        RequestRejectedError: nobody but the requester could approve it; quota or landing zone have no room any more.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    if record.round != data.round:
        raise StateConflictError(record.state, f"round {data.round} is over, this is round {record.round}")
    change_sets = {item.environment: await _change_set(item) for item in data.environments}
    cost = plans.estimate(record.body)
    judgements = await _judge(record, change_sets, cost.monthly, data.at or record.created_at)
    await policy_decisions.keep(record.application, [item.decision for item in judgements.values()])
    verdicts = {place: item.verdicts for place, item in judgements.items()}
    _require_allowed(verdicts)
    repository = f"{owner()}/{record.body.name}"
    document, needs = plans.document(record, data.environments, change_sets, verdicts, repository)
    approvers.require_decidable(needs, record.systems)
    if nobody := (await approvers.eligible(needs)).nobody:  # needs that the request alone did not show
        raise RequestRejectedError("no-approver", f"{nobody} Then retry.")
    # Another landing zone than at the beginning, other prices: what the plan uses is taken before anybody sees it.
    places = [str(zone["name"]) for zone in record.zones.values() if zone.get("name")]
    await allotments.take(record.id, record.body.owner_team, cost, places)
    content, digest = plans.sealed(document)
    blob = f"{record.id}/{digest}.json"
    await blobs.write_document(blob, content)
    reference = PlanReference(
        digest=digest,
        blob=blob,
        round=data.round,
        pins=plans.pins(record.body),
        summary={"monthly": cost.monthly, "currency": cost.currency, "create": len(document["changes"])},
        environments=data.environments,
        changes=len(document["changes"]),
        approvals=[dict(need.document()) for need in needs],
    )
    return await _put_up(data, reference)


@look
async def compare_plans(data: ComparePlans) -> Comparison:
    """Compare a plan that was made again with the approved one.

    Idempotency: reads only.
    """
    found = deviations(await _change_set(data.approved), await _change_set(data.again))
    return Comparison(deviations=found[:20])


async def _change_set(plan: EnvironmentPlan) -> dict[str, Any]:
    """The change set as it was verified; the blob may have been written since."""
    document = await change_sets.read(plan)
    if digest_of(document) != plan.changeset_digest:
        call = VendorCall("infrastructure pipeline", "plan")
        raise PermanentIntegrationError(call, f"the change set of {plan.run_id} is not the one that was verified")
    return document


def _changing(change_set: dict[str, Any]) -> bool:
    """Whether there is anything to judge: an environment that is as it should be changes nothing."""
    return any(item["action"] not in ("noop", "read") for item in change_set["changes"])


async def _judge(
    record: RequestRecord, change_sets: dict[str, Any], monthly: str, at: str
) -> dict[str, policies.Judgement]:
    """The rules on the request, and on the change set of each environment that changes anything."""
    question: dict[str, Any] = {"request": record.body.document(), "estimate": {"monthly": monthly}, "time": at}
    about = About(request_id=record.id, application=record.application)
    found = {"request": await policies.judge(policies.REQUEST_RULES, question, about)}
    for environment, change_set in change_sets.items():
        if _changing(change_set):
            whole = {**question, "environment": environment, "changeSet": change_set, "cost": {"monthly": monthly}}
            here = about.model_copy(update={"environment": environment})
            found[environment] = await policies.judge(policies.PLAN_RULES, whole, here)
    return found


def _require_allowed(verdicts: dict[str, policies.Verdicts]) -> None:
    denied = [(place, verdict) for place, item in verdicts.items() for verdict in item.deny]
    if denied:
        sentences = "; ".join(f"{place}: {verdict.id} {verdict.message}" for place, verdict in denied[:5])
        raise PolicyViolationError(tuple(sorted({verdict.id for _, verdict in denied})), sentences)


async def _put_up(data: SetPlan, reference: PlanReference) -> PlanSet:
    now = datetime.now(UTC)
    deadline = now + timedelta(hours=load(AppStoreSettings).approval_hours)
    decide_before = deadline.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    rules = reference.pins.rules_revision[:12]
    detail = f"plan {reference.digest[:12]}: {reference.changes} objects, allowed by the rules {rules}"
    record = await advance(
        data,
        lambda old: old.model_copy(
            update={
                "state": _S.AWAITING_APPROVAL,
                "plan": reference,
                "asked_at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "decide_before": decide_before,
                "escalated_at": None,
                "approved_digest": None,
                "break_glass": None,
                "approvals": [],
                "problem": None,
            }
        ),
        entry_of(data, "planned", detail, at=utc_now(), key=f"{reference.round}:{reference.digest[:12]}"),
        [_S.PLANNING],
    )
    return PlanSet(
        digest=reference.digest,
        decide_before=record.decide_before or decide_before,
        asked_at=record.asked_at or "",
        servicenow=needs_servicenow(record),
        detail=f"plan {reference.digest[:6]}",
    )
