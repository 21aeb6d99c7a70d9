"""The request itself: its state, its plan, its end. These write the register and call no vendor but blob storage."""

from activities._activity import look
from activities._transition import advance, entry_of
from shared import allotments
from shared import plan as plans
from shared.clients._github import owner
from shared.clock import utc_now
from shared.decisions import needs_servicenow
from shared.errors import (
    StateConflictError,
    TransientIntegrationError,
    VendorCall,
)
from shared.models.plan import EnvironmentPlan
from shared.models.records import RequestRecord, RequestState, StepRecord, StepState
from shared.models.runs import (
    PARKED,
    ActivityInput,
    ApplyResult,
    AskAgain,
    FinishRequest,
    Nothing,
    ParkRequest,
    PlanResult,
    Repository,
    RequestSnapshot,
    Run,
)
from shared.register import leases, requests, run_ends, steps
from shared.register._table import Row, Write

_S = RequestState
_GIVEN_UP = (_S.REJECTED, _S.EXPIRED, _S.CANCELLED)


@look
async def start_run(data: ActivityInput) -> RequestSnapshot:
    """Take the request to work and report where it stands.

    Idempotency: received becomes planning once; any other state is only reported.
    """
    run = data.run
    record = await requests.get(run.application, run.request_id)
    if record.state is _S.RECEIVED:
        entry = entry_of(data, "planning", "planning has begun", at=utc_now())
        record = await advance(data, lambda old: old.model_copy(update={"state": _S.PLANNING}), entry, [_S.RECEIVED])
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
        systems=record.systems,
        digest=record.plan.digest if record.plan else None,
        asked_at=record.asked_at,
        decide_before=record.decide_before,
        approved_digest=record.approved_digest,
        break_glass_until=record.break_glass.expires_at if record.break_glass else None,
        servicenow=needs_servicenow(record),
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
async def expire_request(data: ActivityInput) -> Nothing:
    """Let the plan expire unless somebody decided in this very instant.

    Idempotency: one transition; a decision that came first wins.
    """
    entry = entry_of(data, "expire", "nobody decided in time", at=utc_now())
    try:
        await advance(data, lambda old: old.model_copy(update={"state": _S.EXPIRED}), entry, [_S.AWAITING_APPROVAL])
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
    entry = entry_of(data, "plan_stale", "the estate changed since the approval", at=utc_now(), key=str(data.round))
    await advance(
        data,
        lambda old: old.model_copy(
            update={
                "state": _S.PLANNING,
                "round": data.round + 1,
                "approved_digest": None,
                "break_glass": None,
            }
        ),
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
    entry = entry_of(data, "park", f"{problem.step or 'run'}: {problem.detail}", at=utc_now(), key=_kind(run))
    expect = [_S.UNDOING, *_GIVEN_UP] if run.undo else [_S.RECEIVED, _S.PLANNING, _S.AWAITING_APPROVAL, _S.PROVISIONING]

    def change(old: RequestRecord) -> RequestRecord:
        state = old.state if old.state in _GIVEN_UP else _S.PARKED
        return old.model_copy(update={"state": state, "problem": problem})

    try:
        await advance(data, change, entry, expect)
    except StateConflictError as error:
        return Nothing(detail=f"not parked: the request is {error.state}")
    await leases.release(run.application, run.request_id)
    return Nothing(detail=PARKED)


def _kind(run: Run) -> str:
    return f"{'undo' if run.undo else 'onboard'}:{run.attempt}"


@look
async def finish_request(data: FinishRequest) -> Nothing:
    """Close a run: compare what was planned with what was made, or give the name back after an undo.

    Idempotency: one transition per run; name, quota and place are given back only while they are this request's.
    """
    run = data.run
    entry = entry_of(data, data.state, f"the run ended as {data.state}", at=utc_now(), key=str(run.attempt))
    result = await _compare(run.application, run.request_id) if not run.undo else None
    state = _S(data.state)

    def change(old: RequestRecord) -> RequestRecord:
        update: dict[str, object] = {"state": state, "problem": data.problem, "residue": data.residue}
        return old.model_copy(update=update | ({"result": result} if result else {}))

    def release(record: RequestRecord, rows: dict[str, Row]) -> list[Write]:
        row = rows.get(requests.APPLICATION)
        if row is None or row.document.get("requestId") != record.id:
            return []
        if run.undo:
            return [Write(requests.APPLICATION, None, etag=row.etag)]
        now = "expired" if row.document.get("expiredAt") else "active"  # a retry does not make it younger
        return [Write(requests.APPLICATION, {**row.document, "state": now}, etag=row.etag)]

    expect = [state, _S.UNDOING] if run.undo else [_S.PROVISIONING]
    record = await advance(data, change, entry, expect, release)
    if run.undo and state is not _S.UNDONE:
        await run_ends.tell_cleaning(record)
    if run.undo:
        await allotments.give_back(record.id, record.body.owner_team)
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
