"""Commands: Day-2 operations that other programs ask for over Service Bus, in order for each application.

A function of a queue can only return or raise. It returns when the operation is recorded, and when no repeat would
change anything: then the reason is kept. It raises when a repeat may help: the message keeps its place, and is a dead
letter after the fifth time.
"""

import asyncio
import os

import azure.durable_functions as df
import azure.functions as func
from pydantic import ValidationError

from shared.clock import utc_now
from shared.errors import PolicyViolationError, RequestRejectedError, TransientIntegrationError
from shared.log import LOGGER, redact
from shared.models.commands import Command, RejectedCommand
from shared.models.operations import AskedOperation, Occasion, OperationRecord
from shared.register import commands
from triggers import _operation_intake as intake

QUEUE, CONNECTION = "commands", "SERVICEBUS"
SENDER = "service-bus"
PAUSES = (1.0, 5.0, 15.0)

blueprint = df.Blueprint()


async def take_command(message: func.ServiceBusMessage, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - the SDK sets the hint
    """Take a command in; the same message again, and its replays, end at the same operation."""
    try:
        asked = asked_by(message)
        record = await _accept(client, asked)
    except (RequestRejectedError, PolicyViolationError) as error:
        detail = redact(str(error))
        LOGGER.warning("the command %s is rejected: %s", message.message_id, detail)
        session = message.session_id or ""
        rejected = RejectedCommand(id=message.message_id, session=session, code=error.code, detail=detail, at=utc_now())
        await commands.reject(rejected)
    else:
        LOGGER.info("the command %s is the operation %s", message.message_id, record.id)


def asked_by(message: func.ServiceBusMessage) -> AskedOperation:
    """What the message asks for. The right to ask is the sender's right to send; what it says of people is noted only.

    Raises:
        RequestRejectedError: it is no command, or in the wrong session.
    """
    try:
        command = Command.model_validate_json(message.get_body())
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        pointer = "".join(f"/{part}" for part in first["loc"])
        raise RequestRejectedError("invalid-field", f"{pointer or 'body'}: {first['msg']}.", pointer=pointer) from error
    if message.session_id != command.application:
        detail = f"The session must be the application ({command.application}): it keeps the order of its commands."
        raise RequestRejectedError("invalid-field", detail, pointer="/application")
    properties = message.application_properties or {}
    return AskedOperation(
        operation=command.operation,
        application=command.application,
        environment=command.environment,
        parameters=command.parameters,
        occasion=Occasion.COMMAND,
        business_key=f"command\x00{properties.get('original-id') or message.message_id}",
        dry_run=command.dry_run,
        requester=SENDER,
        requester_name=f"{command.requested_by} (says the sender)" if command.requested_by else "Service Bus",
        reason=command.reason,
    )


async def _accept(client: df.DurableOrchestrationClient, asked: AskedOperation) -> OperationRecord:
    """Accept it, with some patience: a retry here keeps the order, one by the queue counts."""
    for pause in PAUSES:
        try:
            return await intake.accept(client, asked)
        except TransientIntegrationError as error:
            LOGGER.warning("%s of %s waits %g s: %s", asked.operation, asked.application, pause, error)
            await asyncio.sleep(pause)
    return await intake.accept(client, asked)


# Where no namespace is configured there is no function either: its listener could not start.
if os.environ.get(CONNECTION) or os.environ.get(f"{CONNECTION}__fullyQualifiedNamespace"):
    bound = blueprint.durable_client_input(client_name="client")(take_command)
    queued = blueprint.service_bus_queue_trigger(
        arg_name="message", queue_name=QUEUE, connection=CONNECTION, is_sessions_enabled=True
    )(bound)
    blueprint.function_name("take_command")(queued)
