"""Asking for Day-2 operations, seeing exactly what they would do, and deciding about them."""

import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from pydantic import ConfigDict, Field, StrictBool

from orchestrators._day2 import OPERATIONS
from shared import authorisation
from shared.authorisation import OPERATE, OPERATION_STATES, SEE, subject_of
from shared.clock import utc_now
from shared.errors import RequestRejectedError, StateConflictError
from shared.instance_ids import operation_instance
from shared.models import Model
from shared.models.application_request import EnvironmentName, PlainText
from shared.models.operations import AskedOperation, Counts, Occasion, OperationRecord, OperationState
from shared.models.records import Decision, DecisionRecord
from shared.register import operations, requests, steps
from triggers import _operation_intake as intake
from triggers._deciding import decision_of, entry_of, in_time
from triggers._http import Answer, Call, endpoint
from triggers._operation_views import action_view, operation_summary, operation_view, place
from triggers.http_catalogue import visible_application

_S = OperationState
_MAIN = "applications/{name}/operations"
_ONE = f"{_MAIN}/{{operation}}"
_PAGE = 500


class _Body(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})


class OperationRequest(_Body):
    """Body of ``POST /api/applications/{name}/operations/{operation}``."""

    environment: EnvironmentName | None = Field(default=None, description="Stage; without it, all of them.")
    parameters: dict[str, Any] = Field(default={}, description="As the operation says: `GET /api/operations`.")
    dry_run: StrictBool = Field(default=False, description="Only list the exact calls that would be made.")
    reason: PlainText | None = Field(default=None, max_length=500, description="Why, for the record.")


class OperationApproval(_Body):
    """Body of ``approve``."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the actions that were shown.")
    reason: PlainText | None = Field(default=None, max_length=500, description="Why, for the audit.")


class OperationReason(_Body):
    """Body of the other decisions."""

    reason: PlainText | None = Field(default=None, max_length=500, description="Why, for the audit.")


class AcceptedOperation(Model):
    """A Day-2 operation that is on its way."""

    id: str = Field(description="Id of the operation.")
    state: str = Field(description="State of the operation.")
    links: dict[str, str] = Field(description="`self`: where to look.")


class OperationKinds(Model):
    """The operations that can be asked for."""

    operations: list[dict[str, Any]]


class OperationList(Model):
    """Operations of an application, newest first."""

    operations: list[dict[str, Any]]


class OperationView(Model):
    """An operation with its judgement, its decisions and its steps."""

    id: str
    application: str
    operation: str
    state: str
    counts: Counts
    digest: str | None
    problem: dict[str, Any] | None
    links: dict[str, str]


class ActionList(Model):
    """The planned actions of an operation in their order; ``next`` is the offset of the next page, or null."""

    actions: list[dict[str, Any]]
    next: int | None


@endpoint("GET", "operations", action="signed-in", summary="Day-2 operations.", answers={200: OperationKinds})
async def list_operation_kinds(_call: Call) -> Answer:
    """List what can be asked for, with the JSON Schema of the parameters."""
    kinds = [
        {
            "name": kind.name,
            "summary": kind.summary,
            "needsEnvironment": kind.one_stage,
            "parameters": kind.parameters.model_json_schema(),
        }
        for kind in sorted(OPERATIONS.values(), key=lambda kind: kind.name)
    ]
    return Answer(200, {"operations": kinds})


@endpoint(
    "POST",
    _ONE,
    action=OPERATE,
    summary="Ask for a Day-2 operation.",
    body=OperationRequest,
    answers={202: AcceptedOperation},
    headers=("Idempotency-Key",),
)
async def create_operation(call: Call) -> Answer:
    """Take an operation in: the same key and body always give the same answer."""
    application = await visible_application(call)
    authorisation.require(call.caller, OPERATE, subject_of(application))
    kind = intake.operation_of(call.params.get("operation", ""))
    key, body = call.idempotency_key(), call.body(OperationRequest)
    asked = AskedOperation(
        operation=kind.name,
        application=application.name,
        environment=body.environment,
        parameters=body.parameters,
        occasion=Occasion.REQUEST,
        business_key=f"{call.caller.tenant}\x00{call.caller.id}\x00{key}",
        dry_run=body.dry_run,
        requester=call.caller.id,
        requester_name=call.caller.name,
        reason=body.reason,
    )
    return _accepted(await intake.accept(call.client, asked))


@endpoint("GET", _MAIN, action=SEE, summary="Day-2 operations of an application.", answers={200: OperationList})
async def list_operations(call: Call) -> Answer:
    """List operations, newest first."""
    application = await visible_application(call)
    found = await operations.of_application(application.name)
    return Answer(200, {"operations": [operation_summary(record, call.caller) for record in found]})


@endpoint("GET", _ONE, action=SEE, summary="A Day-2 operation.", answers={200: OperationView})
async def get_operation(call: Call) -> Answer:
    """Show an operation: what it found, what the guard said, what was done."""
    record = await _visible(call)
    if record.state in (_S.SURVEYING, _S.ACTING, _S.CANCELLED):  # cancelled at work: its last action was under way
        record = record.model_copy(update={"counts": await operations.counts(record.application, record.id)})
    done = await steps.of_request(record.application, record.id)
    decisions = await requests.decisions(record.application, record.id)
    return Answer(200, operation_view(record, call.caller, done, decisions))


@endpoint(
    "GET",
    f"{_ONE}/actions",
    action=SEE,
    summary="The exact calls of an operation, and what became of them.",
    answers={200: ActionList},
)
async def list_operation_actions(call: Call) -> Answer:
    """List the planned actions, 500 a page: ``?offset=500`` goes on."""
    record = await _visible(call)
    offset = call.query.get("offset", "0")
    if not re.fullmatch(r"[0-9]{1,7}", offset):
        raise RequestRejectedError("invalid-field", "offset: a number of actions to leave out.")
    found = [row async for row in operations.actions(record.application, record.id)]
    page = list(islice(found, int(offset), int(offset) + _PAGE))
    after = int(offset) + len(page)
    document = {"actions": [action_view(row) for row in page], "next": after if after < len(found) else None}
    return Answer(200, document)


@endpoint(
    "POST",
    f"{_ONE}/approve",
    action=Decision.APPROVE,
    summary="Approve exactly these actions.",
    body=OperationApproval,
    answers={202: AcceptedOperation},
)
async def approve_operation(call: Call) -> Answer:
    """Approve the actions with the given digest."""
    record = await _visible(call)
    authorisation.require(call.caller, Decision.APPROVE, subject_of(record))
    body = call.body(OperationApproval)
    decision = _decision(call, Decision.APPROVE, record, body.reason)

    def change(old: OperationRecord) -> OperationRecord:
        if old.digest != body.digest:
            current = old.digest[:12] if old.digest else "none yet"
            detail = f"These are not the actions you were shown: they are {current} now."
            raise RequestRejectedError("plan-changed", detail, status=409, pointer="/digest")
        if old.decide_before and utc_now() >= old.decide_before:
            raise StateConflictError(old.state, f"The time to decide was over at {old.decide_before}.")
        update = {"approvals": [*old.approvals, decision], "state": _S.ACTING, "approved_digest": body.digest}
        return old.model_copy(update=update)

    return await _decide(call, record, decision, change)


@endpoint(
    "POST",
    f"{_ONE}/reject",
    action=Decision.REJECT,
    summary="Reject the actions.",
    body=OperationReason,
    answers={202: AcceptedOperation},
)
async def reject_operation(call: Call) -> Answer:
    """Reject: nothing is changed."""
    return await _simple(call, Decision.REJECT, lambda old: old.model_copy(update={"state": _S.REJECTED}))


@endpoint(
    "POST",
    f"{_ONE}/cancel",
    action=Decision.CANCEL,
    summary="Stop the operation.",
    body=OperationReason,
    answers={202: AcceptedOperation},
)
async def cancel_operation(call: Call) -> Answer:
    """Stop: what is done stays done, nothing further begins."""
    return await _simple(call, Decision.CANCEL, lambda old: old.model_copy(update={"state": _S.CANCELLED}))


@endpoint(
    "POST",
    f"{_ONE}/retry",
    action=Decision.RETRY,
    summary="Survey again, and do what is left.",
    body=OperationReason,
    answers={202: AcceptedOperation},
)
async def retry_operation(call: Call) -> Answer:
    """Start a new attempt: it surveys again, so that what is done is not done twice."""

    def change(old: OperationRecord) -> OperationRecord:
        attempt = old.attempt + 1
        instance = operation_instance(old.id, attempt)
        update = {"attempt": attempt, "instance_id": instance, "problem": None, "state": _S.SURVEYING}
        return old.model_copy(update={**update, "approved_digest": None})

    return await _simple(call, Decision.RETRY, change)


async def _visible(call: Call) -> OperationRecord:
    """The operation of the path, if the caller may see it; otherwise it does not exist for the caller."""
    identifier, name = call.params.get("operation", ""), call.params.get("name", "")
    known = re.fullmatch(r"op-[0-9a-f]{12}", identifier) and re.fullmatch(r"[a-z0-9-]{3,32}", name)
    record = await operations.find(name, identifier) if known else None
    if record is None or not authorisation.may_see(call.caller, record):
        raise RequestRejectedError("unknown-operation", f"There is no operation {identifier} of {name}.", status=404)
    return record


def _accepted(record: OperationRecord) -> Answer:
    document = AcceptedOperation(id=record.id, state=record.state, links={"self": place(record)})
    return Answer(202, document.document(), {"Location": place(record)})


async def _simple(call: Call, kind: Decision, change: Callable[[OperationRecord], OperationRecord]) -> Answer:
    record = await _visible(call)
    authorisation.require(call.caller, kind, subject_of(record))
    body = call.body(OperationReason) if call.raw else OperationReason()
    return await _decide(call, record, _decision(call, kind, record, body.reason), change)


async def _decide(
    call: Call, record: OperationRecord, decision: DecisionRecord, change: Callable[[OperationRecord], OperationRecord]
) -> Answer:
    """Write decision, state and audit entry together, then wake or start the orchestration."""
    kind = decision.decision
    transition = operations.transition(
        record.application,
        record.id,
        change,
        entry_of(decision, str(record.attempt)),
        expect=sorted(OPERATION_STATES[kind]),
        extra=lambda _new, _rows: [requests.decision_write(decision)],
    )
    new = await in_time(kind, "operation", transition)
    if new.attempt != record.attempt:
        await intake.start_recorded(call.client, new)
    else:
        await intake.wake(call.client, new)
    return _accepted(new)


def _decision(call: Call, kind: Decision, record: OperationRecord, reason: str | None) -> DecisionRecord:
    return decision_of(call, kind, record.id, digest=record.digest, reason=reason)
