"""Deciding about a request. The decision is written first, as a fact; only then the orchestration is woken."""

from collections.abc import Callable, Sequence

from pydantic import ConfigDict, Field

from shared import authorisation
from shared import plan as plans
from shared.authorisation import subject_of
from shared.clock import utc_now
from shared.decisions import open_needs
from shared.errors import RequestRejectedError, StateConflictError
from shared.instance_ids import onboard_instance, undo_instance
from shared.log import LOGGER
from shared.models import Model
from shared.models.application_request import PlainText
from shared.models.records import Decision, DecisionRecord, RequestRecord, RequestState
from shared.models.runs import UndoInput
from shared.register import requests, steps
from shared.register._table import Write
from shared.register.audit import Entry
from triggers._acting import Authority, authority
from triggers._http import Answer, Call, endpoint
from triggers._intake import pace, start, start_once
from triggers._wake import wake
from triggers.http_requests import Accepted, accepted, visible

_S = RequestState


class _Body(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})


class Reason(_Body):
    """Body of the other decisions."""

    reason: PlainText | None = Field(default=None, max_length=500, description="Why, for the audit.")


class Rejection(Reason):
    """Body of ``reject``."""

    on_behalf_of: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Za-z-]{1,64}$",
        description="Object id of the person who delegated the authority that is used; without it, the own counts.",
    )


class Approval(Rejection):
    """Body of ``approve``."""

    plan_digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the plan that was shown, all 64 digits.")


@endpoint(
    "POST",
    "requests/{id}/approve",
    action=Decision.APPROVE,
    summary="Approve exactly this plan.",
    body=Approval,
    answers={202: Accepted},
)
async def approve_request(call: Call) -> Answer:
    """Approve the plan with the given digest; the last approval that is needed starts the work."""
    record = await visible(call)
    body = call.body(Approval)
    acting = await authority(call.caller, body.on_behalf_of, record)
    authorisation.require(acting.caller, Decision.APPROVE, subject_of(record))
    await require_current(call, record, body.plan_digest)
    decision = decision_of(acting, Decision.APPROVE, record, body.plan_digest, body.reason)

    def change(old: RequestRecord) -> RequestRecord:
        require_shown(old, body.plan_digest)
        require_in_time(old)
        given = [item for item in old.approvals if item.actor != decision.actor] + [decision]
        if open_needs(old, given):
            return old.model_copy(update={"approvals": given})
        return old.model_copy(
            update={"approvals": given, "state": _S.PROVISIONING, "approved_digest": body.plan_digest}
        )

    key = f"{record.round}:{body.plan_digest[:12]}:{call.caller.id}"
    return await decide(call, record, decision, change, key=key)


async def require_current(call: Call, record: RequestRecord, shown: str) -> None:
    """Demand that this plan was shown, and that rules, prices and skeleton are what it was made from.

    Raises:
        RequestRejectedError: 409, it is another plan, or a new one is being made.
    """
    require_shown(record, shown)
    if record.state is _S.AWAITING_APPROVAL and record.plan and record.plan.pins != plans.pins(record.body):
        await _plan_again(call, record)


def require_shown(record: RequestRecord, shown: str) -> None:
    """Demand that the plan that was shown is the current one. Raises RequestRejectedError 409."""
    if record.plan is None or record.plan.digest != shown:
        current = record.plan.digest[:12] if record.plan else "none yet"
        detail = f"This is not the plan you were shown: it is {current} now."
        raise RequestRejectedError("plan-changed", detail, status=409, pointer="/planDigest")


def require_in_time(record: RequestRecord) -> None:
    """Demand that the time for deciding is not over. Raises StateConflictError."""
    if record.decide_before and utc_now() >= record.decide_before:
        raise StateConflictError(record.state, f"The plan expired at {record.decide_before}.")


async def _plan_again(call: Call, record: RequestRecord) -> None:
    """Rules, prices or skeleton changed since the plan was shown: it is void, a new one is made.

    It is made for the landing zones of today, unless something was made in those of yesterday already.
    """
    begun = any(step.name == "start_apply" for step in await steps.of_request(record.application, record.id))
    zones = record.zones if begun else {name: zone.document() for name, zone in plans.find_zones(record.body).items()}
    entry = Entry(
        f"{record.id}:void:{record.round}",
        utc_now(),
        call.caller.id,
        "void",
        record.id,
        "rules, prices or skeleton changed",
    )
    await requests.transition(
        record.application,
        record.id,
        lambda old: old.model_copy(
            update={
                "state": _S.PLANNING,
                "round": old.round + 1,
                "approvals": [],
                "zones": zones,
            }
        ),
        entry,
        expect=[_S.AWAITING_APPROVAL],
    )
    await wake(call.client, record)
    detail = "Rules, prices or the archetype changed since this plan was made; a new plan is on its way."
    raise RequestRejectedError("plan-changed", detail, status=409, pointer="/planDigest")


@endpoint(
    "POST",
    "requests/{id}/reject",
    action=Decision.REJECT,
    summary="Reject the plan.",
    body=Rejection,
    answers={202: Accepted},
)
async def reject_request(call: Call) -> Answer:
    """Reject the plan: nothing is made, the name is free again."""
    record = await visible(call)
    body = call.body(Rejection) if call.raw else Rejection()
    acting = await authority(call.caller, body.on_behalf_of, record)
    authorisation.require(acting.caller, Decision.REJECT, subject_of(record))
    decision = decision_of(acting, Decision.REJECT, record, _digest(record), body.reason)
    return await decide(call, record, decision, lambda old: old.model_copy(update={"state": _S.REJECTED}), key="")


@endpoint(
    "POST",
    "requests/{id}/cancel",
    action=Decision.CANCEL,
    summary="Stop the request.",
    body=Reason,
    answers={202: Accepted},
)
async def cancel_request(call: Call) -> Answer:
    """Stop: no further step starts; what exists stays until it is undone."""
    record = await visible(call)
    return await _simple(
        call,
        record,
        Decision.CANCEL,
        lambda old: old.model_copy(update={"state": _S.CANCELLED}),
        key=str(record.attempt),
    )


@endpoint(
    "POST",
    "requests/{id}/retry",
    action=Decision.RETRY,
    summary="Go on from the failed step.",
    body=Reason,
    answers={202: Accepted},
)
async def retry_request(call: Call) -> Answer:
    """Start a new attempt: what is done stays done."""
    record = await visible(call)

    def change(old: RequestRecord) -> RequestRecord:
        if old.undo_begun:
            raise StateConflictError("undoing", "something was removed already")
        attempt = old.attempt + 1
        update = {"attempt": attempt, "instance_id": onboard_instance(old.id, attempt), "problem": None}
        if old.plan is None:
            return old.model_copy(update=update | {"state": _S.PLANNING})
        if old.approved_digest == old.plan.digest and old.plan.pins == plans.pins(old.body):
            return old.model_copy(update=update | {"state": _S.PROVISIONING})
        # It was never approved, or rules, prices or skeleton moved since: what is left to do was approved by nobody.
        return old.model_copy(
            update=update
            | {"state": _S.PLANNING, "round": old.round + 1, "approved_digest": None, "approvals": []}
            | {"break_glass": None}
        )

    return await _simple(call, record, Decision.RETRY, change, key=str(record.attempt))


@endpoint(
    "POST",
    "requests/{id}/undo",
    action=Decision.UNDO,
    summary="Remove everything that this request made.",
    body=Reason,
    answers={202: Accepted},
)
async def undo_request(call: Call) -> Answer:
    """Remove what the request made and nothing else; what a vendor keeps is listed as residue."""
    record = await visible(call)

    def change(old: RequestRecord) -> RequestRecord:
        attempt = old.attempt + 1
        instance = undo_instance(old.id, attempt)
        update = {"state": _S.UNDOING, "attempt": attempt, "instance_id": instance, "undo_begun": True}
        return old.model_copy(update=update)

    return await _simple(call, record, Decision.UNDO, change, key=str(record.attempt))


async def _simple(
    call: Call,
    record: RequestRecord,
    kind: Decision,
    change: Callable[[RequestRecord], RequestRecord],
    *,
    key: str = "",
) -> Answer:
    authorisation.require(call.caller, kind, subject_of(record))
    body = call.body(Reason) if call.raw else Reason()
    decision = decision_of(Authority(call.caller), kind, record, _digest(record), body.reason)
    return await decide(call, record, decision, change, key=key)


def _digest(record: RequestRecord) -> str | None:
    return record.plan.digest if record.plan else None


async def decide(
    call: Call,
    record: RequestRecord,
    decision: DecisionRecord,
    change: Callable[[RequestRecord], RequestRecord],
    *,
    key: str,
    extra: Callable[[RequestRecord], Sequence[Write]] = lambda _new: (),
) -> Answer:
    """Write decision, state, audit entry and further rows together, then wake or start the orchestration."""
    kind = decision.decision
    entry_id = ":".join(part for part in (record.id, kind, key) if part)
    entry = Entry(entry_id, decision.decided_at, decision.actor, kind, record.id, decision.reason or str(kind))
    try:
        new = await requests.transition(
            record.application,
            record.id,
            change,
            entry,
            expect=authorisation.expected_states(kind),
            extra=lambda new, _rows: [requests.decision_write(decision), *extra(new)],
        )
    except StateConflictError as error:
        words = error.state.replace("_", " ")
        what = str(kind).replace("_", " ")
        raise StateConflictError(error.state, f"Too late to {what}: the request is {words}.") from error
    await carry_on(call, record, new)
    return accepted(new)


async def carry_on(call: Call, before: RequestRecord, record: RequestRecord) -> None:
    """Start what the decision asks for; the sweep does the same if this process dies first or this fails."""
    try:
        await _carry_on(call, before, record)
    except Exception:  # noqa: BLE001 - the decision is written and stands; the SDK raises bare Exception
        LOGGER.exception("%s is decided but not started yet: the sweep will start it", record.id)


async def _carry_on(call: Call, before: RequestRecord, record: RequestRecord) -> None:
    if record.state is _S.UNDOING:
        payload = UndoInput(request_id=record.id, application=record.application, attempt=record.attempt, pace=pace())
        await start_once(call.client, "undo", record.instance_id, payload.document())
    elif record.attempt != before.attempt:
        await start(call.client, record)
    else:
        await wake(call.client, record)


def decision_of(
    acting: Authority, kind: Decision, record: RequestRecord, digest: str | None, reason: str | None
) -> DecisionRecord:
    """What is written down about a decision."""
    caller = acting.caller
    return DecisionRecord(
        request_id=record.id,
        decision=kind,
        actor=caller.id,
        actor_name=caller.name,
        roles=sorted(caller.roles),
        teams=sorted(caller.teams),
        on_behalf_of=acting.on_behalf_of,
        on_behalf_of_name=acting.on_behalf_of_name,
        plan_digest=digest,
        reason=reason,
        decided_at=utc_now(),
    )
