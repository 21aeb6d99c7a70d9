"""The request itself: its state, its plan, its end. These write the register and call no vendor but blob storage."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from activities._activity import look
from shared import plan as plans
from shared import policies
from shared.canonical import digest as digest_of
from shared.clients import blobs
from shared.clients._github import owner
from shared.clock import utc_now
from shared.errors import (
    PermanentIntegrationError,
    PolicyViolationError,
    StateConflictError,
    TransientIntegrationError,
    VendorCall,
)
from shared.models.plan import EnvironmentPlan, MadeObject, PlanReference
from shared.models.records import RequestRecord, RequestState, StepRecord, StepState
from shared.models.runs import (
    ActivityInput,
    ApplyResult,
    AskAgain,
    FinishRequest,
    InfrastructureChange,
    Nothing,
    ParkRequest,
    PlanResult,
    PlanSet,
    Repository,
    RequestSnapshot,
    Run,
    SetPlan,
    UndoWork,
)
from shared.register import leases, requests, steps
from shared.register._table import Row, Write
from shared.register.audit import Entry
from shared.settings import AppStoreSettings, load

_S = RequestState
_GIVEN_UP = (_S.REJECTED, _S.EXPIRED, _S.CANCELLED)


async def _advance(
    data: ActivityInput,
    change: Callable[[RequestRecord], RequestRecord],
    entry: Entry,
    expect: Sequence[RequestState],
    extra: Callable[[RequestRecord, dict[str, Row]], Sequence[Write]] | None = None,
) -> RequestRecord:
    """A transition on behalf of one attempt; a later attempt makes it a conflict."""

    def fenced(old: RequestRecord) -> RequestRecord:
        if old.attempt != data.run.attempt:
            raise StateConflictError(old.state, f"attempt {data.run.attempt} is over, this is attempt {old.attempt}")
        return change(old)

    return await requests.transition(
        data.run.application, data.run.request_id, fenced, entry, expect=expect, extra=extra
    )


def _entry(data: ActivityInput, action: str, detail: str, *, at: str, key: str = "") -> Entry:
    entry_id = ":".join(part for part in (data.run.request_id, action, key) if part)
    return Entry(entry_id, at, "appstore", action, data.run.request_id, detail)


@look
async def start_run(data: ActivityInput) -> RequestSnapshot:
    """Take the request to work and report where it stands.

    Idempotency: received becomes planning once; any other state is only reported.
    """
    run = data.run
    record = await requests.get(run.application, run.request_id)
    if record.state is _S.RECEIVED:
        entry = _entry(data, "planning", "planning has begun", at=utc_now())
        record = await _advance(data, lambda old: old.model_copy(update={"state": _S.PLANNING}), entry, [_S.RECEIVED])
    await _take_lease(run)
    return await _snapshot(record)


async def _take_lease(run: Run) -> None:
    """One mutation per application at a time; the holder gives the lease back when it ends or parks.

    Raises:
        TransientIntegrationError: somebody else has it.
    """
    holder = await leases.acquire(run.application, run.request_id, utc_now())
    if holder != run.request_id:
        raise TransientIntegrationError(
            VendorCall("register", "lease"), f"{run.application} is being changed by {holder}"
        )


@look
async def read_request(data: ActivityInput) -> RequestSnapshot:
    """Report where the request stands.

    Idempotency: reads only.
    """
    return await _snapshot(await requests.get(data.run.application, data.run.request_id))


async def _snapshot(record: RequestRecord) -> RequestSnapshot:
    done = [step for step in await steps.of_request(record.application, record.id) if step.state is StepState.DONE]
    planned = [PlanResult.model_validate(step.outcome).plan for step in done if step.name == "read_plan_result"]
    applied = {
        str(step.environment): ApplyResult.model_validate(step.outcome)
        for step in done
        if step.name == "read_apply_result" and not _stale(step)
    }
    repository = next((step.outcome for step in done if step.name == "ensure_repository"), None)
    return RequestSnapshot(
        state=record.state,
        round=record.round,
        environments=[str(name) for name in record.body.environments],
        digest=record.plan.digest if record.plan else None,
        decide_before=record.decide_before,
        approved_digest=record.approved_digest,
        planned=_current(record, planned),
        outputs={name: result.outputs for name, result in applied.items()},
        applied={name: result.plan_run_id for name, result in applied.items()},
        subject_prefix=Repository.model_validate(repository).subject_prefix if repository else "",
        done=[_place(step) for step in done if not _stale(step)],
    )


def _current(record: RequestRecord, planned: list[EnvironmentPlan]) -> list[EnvironmentPlan]:
    """The plans that count: those of the approved plan, else those of the current round."""
    if record.plan and record.plan.digest == record.approved_digest:
        return record.plan.environments
    return [plan for plan in planned if f"-plan-{record.round}." in plan.run_id]


def _stale(step: StepRecord) -> bool:
    return step.name == "read_apply_result" and bool((step.outcome or {}).get("stale"))


def _place(step: StepRecord) -> str:
    return f"{step.branch}@{step.environment}:{step.name}" if step.environment else f"{step.branch}:{step.name}"


@look
async def set_plan(data: SetPlan) -> PlanSet:
    """Assemble the whole-estate plan, have it judged by the rules, and put it up for approval.

    Idempotency: the plan's digest names the blob and the audit entry; a repeat changes nothing.

    Raises:
        PolicyViolationError: a rule denies the plan.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    if record.round != data.round:
        raise StateConflictError(record.state, f"round {data.round} is over, this is round {record.round}")
    change_sets = {item.environment: await _change_set(item) for item in data.environments}
    cost = plans.estimate(record.body)
    verdicts = {"request": await policies.evaluate_request(_question(record, cost.monthly))}
    for environment, change_set in change_sets.items():
        if not _changing(change_set):
            continue
        question = {**_question(record, cost.monthly), "environment": environment, "changeSet": change_set}
        question["cost"] = {"monthly": cost.monthly}
        verdicts[environment] = await policies.evaluate_plan(question)
    _require_allowed(verdicts)
    repository = f"{owner()}/{record.body.name}"
    document, needs = plans.document(record, data.environments, change_sets, verdicts, repository)
    content, digest = plans.sealed(document)
    blob = f"{record.id}/{digest}.json"
    await blobs.write_document(blob, content)
    reference = PlanReference(
        digest=digest,
        blob=blob,
        round=data.round,
        pins=plans.pins(record.body.archetype),
        summary={"monthly": cost.monthly, "currency": cost.currency, "create": len(document["changes"])},
        environments=data.environments,
        changes=len(document["changes"]),
        approvals=[dict(need.document()) for need in needs],
    )
    return await _put_up(data, reference)


async def _change_set(plan: EnvironmentPlan) -> dict[str, Any]:
    """The change set as it was verified; the blob may have been written since."""
    document: dict[str, Any] = json.loads(await blobs.read_artefact(plan.run_id, "changeset.json"))
    if digest_of(document) != plan.changeset_digest:
        call = VendorCall("infrastructure pipeline", "plan")
        raise PermanentIntegrationError(call, f"the change set of {plan.run_id} is not the one that was verified")
    return document


def _changing(change_set: dict[str, Any]) -> bool:
    """Whether there is anything to judge: an environment that is as it should be changes nothing."""
    return any(item["action"] not in ("noop", "read") for item in change_set["changes"])


def _question(record: RequestRecord, monthly: str) -> dict[str, object]:
    return {"request": record.body.document(), "estimate": {"monthly": monthly}, "time": record.created_at}


def _require_allowed(verdicts: dict[str, policies.Verdicts]) -> None:
    denied = [(place, verdict) for place, item in verdicts.items() for verdict in item.deny]
    if denied:
        sentences = "; ".join(f"{place}: {verdict.id} {verdict.message}" for place, verdict in denied[:5])
        raise PolicyViolationError(tuple(sorted({verdict.id for _, verdict in denied})), sentences)


async def _put_up(data: SetPlan, reference: PlanReference) -> PlanSet:
    now = datetime.now(UTC)
    deadline = now + timedelta(hours=load(AppStoreSettings).approval_hours)
    decide_before = deadline.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    detail = f"plan {reference.digest[:12]}: {reference.changes} objects"
    record = await _advance(
        data,
        lambda old: old.model_copy(
            update={
                "state": _S.AWAITING_APPROVAL,
                "plan": reference,
                "decide_before": decide_before,
                "approved_digest": None,
                "approvals": [],
                "problem": None,
            }
        ),
        _entry(data, "planned", detail, at=utc_now(), key=f"{reference.round}:{reference.digest[:12]}"),
        [_S.PLANNING],
    )
    return PlanSet(
        digest=reference.digest,
        decide_before=record.decide_before or decide_before,
        detail=f"plan {reference.digest[:6]}",
    )


@look
async def expire_request(data: ActivityInput) -> Nothing:
    """Let the plan expire unless somebody decided in this very instant.

    Idempotency: one transition; a decision that came first wins.
    """
    entry = _entry(data, "expire", "nobody decided in time", at=utc_now())
    try:
        await _advance(data, lambda old: old.model_copy(update={"state": _S.EXPIRED}), entry, [_S.AWAITING_APPROVAL])
    except StateConflictError as error:
        return Nothing(detail=f"not expired: the request is {error.state}")
    return Nothing(detail="expired")


@look
async def ask_again(data: AskAgain) -> Nothing:
    """The saved plan no longer fits and the new one differs: back to planning, the approval is void.

    Idempotency: one transition per round.
    """
    run = data.run
    record = await requests.get(run.application, run.request_id)
    if record.round > data.round:
        return Nothing(detail="asked already")
    entry = _entry(data, "plan_stale", "the estate changed since the approval", at=utc_now(), key=str(data.round))
    await _advance(
        data,
        lambda old: old.model_copy(update={"state": _S.PLANNING, "round": data.round + 1, "approved_digest": None}),
        entry,
        [_S.PROVISIONING],
    )
    return Nothing()


@look
async def park_request(data: ParkRequest) -> Nothing:
    """Stop the run, keep what exists, and say what failed and what to do.

    Idempotency: one transition per attempt; a request that was cancelled meanwhile stays cancelled.
    """
    run, problem = data.run, data.problem
    entry = _entry(data, "park", f"{problem.step or 'run'}: {problem.detail}", at=utc_now(), key=_kind(run))
    expect = [_S.UNDOING, *_GIVEN_UP] if run.undo else [_S.RECEIVED, _S.PLANNING, _S.AWAITING_APPROVAL, _S.PROVISIONING]

    def change(old: RequestRecord) -> RequestRecord:
        state = old.state if old.state in _GIVEN_UP else _S.PARKED
        return old.model_copy(update={"state": state, "problem": problem})

    try:
        await _advance(data, change, entry, expect)
    except StateConflictError as error:
        return Nothing(detail=f"not parked: the request is {error.state}")
    await leases.release(run.application, run.request_id)
    return Nothing(detail="parked")


def _kind(run: Run) -> str:
    return f"{'undo' if run.undo else 'onboard'}:{run.attempt}"


@look
async def finish_request(data: FinishRequest) -> Nothing:
    """Close a run: compare what was planned with what was made, or give the name back after an undo.

    Idempotency: one transition per run; the reservation is removed only while it is this request's.
    """
    run = data.run
    entry = _entry(data, data.state, f"the run ended as {data.state}", at=utc_now(), key=str(run.attempt))
    result = await _compare(run.application, run.request_id) if not run.undo else None
    state = _S(data.state)

    def change(old: RequestRecord) -> RequestRecord:
        update: dict[str, object] = {"state": state, "problem": None, "residue": data.residue}
        return old.model_copy(update=update | ({"result": result} if result else {}))

    def release(record: RequestRecord, rows: dict[str, Row]) -> list[Write]:
        row = rows.get(requests.APPLICATION)
        if row is None or row.document.get("requestId") != record.id:
            return []
        if run.undo:
            return [Write(requests.APPLICATION, None, etag=row.etag)]
        return [Write(requests.APPLICATION, {**row.document, "state": "active"}, etag=row.etag)]

    expect = [state, _S.UNDOING] if run.undo else [_S.PROVISIONING]
    await _advance(data, change, entry, expect, release)
    await leases.release(run.application, run.request_id)
    return Nothing(detail=data.state)


async def _compare(application: str, request_id: str) -> dict[str, object]:
    """Planned against made, object by object."""
    record = await requests.get(application, request_id)
    environments = record.plan.environments if record.plan else []
    planned = {
        (item.system, item.type, item.name, item.environment)
        for item in plans.all_changes(record, environments, f"{owner()}/{application}")
    }
    made = {
        (item.system, item.type, item.name, item.environment)
        for step in await steps.of_request(application, request_id)
        if step.state is StepState.DONE
        for item in step.made
    }
    return {
        "planned": len(planned),
        "made": len(planned & made),
        "unplanned": sorted(":".join(str(part) for part in item if part) for item in made - planned),
        "missing": sorted(":".join(str(part) for part in item if part) for item in planned - made),
    }


@look
async def read_undo_work(data: ActivityInput) -> UndoWork:
    """What the request has begun: the steps that ran, finished or not, because a lost answer may have had its effect.

    Idempotency: reads only.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    begun = await steps.of_request(record.application, record.id)

    def where(name: str) -> list[str]:
        return sorted({str(step.environment) for step in begun if step.name == name and step.environment})

    proposals = [step for step in begun if step.name == "open_infrastructure_change"]
    commits = {
        str(step.environment): InfrastructureChange.model_validate(step.outcome).commit
        for step in proposals
        if step.outcome
    }
    return UndoWork(
        repository=any(step.name == "ensure_repository" for step in begun),
        namespaces=where("ensure_namespace"),
        applied=[name for name in where("start_apply") if name in commits],
        proposed=where("open_infrastructure_change"),
        commits=commits,
        residue=[_image(record, name) for name in where("start_deployment")],
    )


def _image(record: RequestRecord, environment: str) -> MadeObject:
    """The pushed image stays in the registry: its retention is the platform's."""
    registry = plans.zone_of(record, environment).registry
    return MadeObject(
        system="azure", type="container image", name=f"{registry}/{record.application}", environment=environment
    )
