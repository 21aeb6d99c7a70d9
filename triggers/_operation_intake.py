"""Taking a Day-2 operation in exactly once, whoever asks, and starting its orchestration."""

from typing import Any

import azure.durable_functions as df
from pydantic import ValidationError

from orchestrators._day2 import OPERATIONS, Operation
from shared import operation_records
from shared.errors import RequestRejectedError
from shared.log import LOGGER
from shared.models.operations import (
    RUNNING_STATES,
    AskedOperation,
    Occasion,
    OperationInput,
    OperationRecord,
    OperationState,
)
from shared.models.records import ApplicationRecord
from shared.register import operations, requests
from shared.register.audit import Entry
from triggers._intake import pace, start_once

_LIVING = ("active", "expired")


async def accept(client: df.DurableOrchestrationClient, asked: AskedOperation) -> OperationRecord:
    """Record the operation and start it; every repeat with the same business key ends at the same operation.

    Raises:
        RequestRejectedError: there is no such operation, application or environment, a parameter is wrong, or the
            same business key was used for something else.
    """
    kind = operation_of(asked.operation)
    application = await _application(asked.application)
    parameters = _parameters(kind, asked.parameters)
    _require_stage(kind, application, asked.environment)
    record = operation_records.recorded(asked, application, parameters)
    detail = f"{asked.operation} by {asked.occasion}{': ' + asked.reason if asked.reason else ''}"
    entry = Entry(f"{record.id}:operate", record.created_at, asked.requester, "operate", record.id, detail[:1000])
    found = await operations.create(record, entry)
    if found.body_hash != record.body_hash:
        detail = f"The same key was used for another {asked.operation} ({found.id})."
        raise RequestRejectedError("idempotency-key-reused", detail, status=409)
    if found.state is OperationState.RECEIVED:  # beyond it, its orchestration has begun
        await start_recorded(client, found)
    return found


def asked_by_timer(
    application: str,
    operation: str,
    business_key: str,
    *,
    environment: str | None = None,
    parameters: dict[str, Any] | None = None,
    reason: str | None = None,
) -> AskedOperation:
    """What a timer asks for; the business key has its occasion, so that a timer that is late or twice asks once."""
    return AskedOperation(
        operation=operation,
        application=application,
        environment=environment,
        parameters=parameters or {},
        occasion=Occasion.TIMER,
        business_key=business_key,
        requester="appstore",
        requester_name="App Store",
        reason=reason,
    )


def operation_of(name: str) -> Operation:
    """The operation of that name.

    Raises:
        RequestRejectedError: 404, there is none.
    """
    kind = OPERATIONS.get(name)
    if kind is None:
        known = ", ".join(sorted(OPERATIONS))
        raise RequestRejectedError(
            "no-such-operation", f"There is no operation {name}; there are: {known}.", status=404
        )
    return kind


async def _application(name: str) -> ApplicationRecord:
    found = await requests.application(name)
    if found is None:
        raise RequestRejectedError("unknown-application", f"There is no application {name}.", status=404)
    if found.state not in _LIVING:
        detail = f"{name} is {found.state}: there is nothing to operate yet."
        raise RequestRejectedError("not-active", detail, status=409)
    return found


def _parameters(kind: Operation, given: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(kind.parameters.model_validate(given).document())
    except ValidationError as error:
        first = error.errors()[0]
        pointer = "".join(f"/{part}" for part in ("parameters", *first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise RequestRejectedError("invalid-field", f"{pointer}: {reason}.", pointer=pointer) from error


def _require_stage(kind: Operation, application: ApplicationRecord, environment: str | None) -> None:
    pointer = "/environment"
    if environment is None and kind.one_stage:
        detail = f"{kind.name} needs an environment: {', '.join(application.environments)}."
        raise RequestRejectedError("invalid-field", detail, pointer=pointer)
    if environment is not None and environment not in application.environments:
        detail = f"{application.name} has no environment {environment}."
        raise RequestRejectedError("unknown-environment", detail, pointer=pointer)


async def start_recorded(client: df.DurableOrchestrationClient, record: OperationRecord) -> None:
    """Start what is recorded; the sweep does the same if this process dies first or this fails."""
    try:
        await start(client, record)
    except Exception:  # noqa: BLE001 - the operation is recorded and stands; the SDK raises bare Exception
        LOGGER.exception("%s is recorded but not started yet: the sweep will start it", record.id)


async def start(client: df.DurableOrchestrationClient, record: OperationRecord) -> None:
    """Start the operation's orchestration unless it has been started."""
    payload = OperationInput(
        request_id=record.id,
        application=record.application,
        attempt=record.attempt,
        origin=record.occasion.origin,
        flow_version=record.flow_version,
        pace=pace(),
    )
    name = operation_of(record.operation).orchestrator
    settled = None if record.state in RUNNING_STATES else record.updated_at
    await start_once(client, name, record.instance_id, payload.document(), settled_at=settled)


async def wake(client: df.DurableOrchestrationClient, record: OperationRecord) -> None:
    """Tell the orchestration to look at the rows again. Losing this hint loses nothing: the sweep repeats it."""
    try:
        await client.raise_event(record.instance_id, "decision", {})
    except Exception as error:  # noqa: BLE001 - the SDK raises bare Exception for unknown and finished instances
        LOGGER.info("no orchestration %s to wake: %s", record.instance_id, type(error).__name__)
