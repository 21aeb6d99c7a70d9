"""Azure Service Bus: the dead letters of the queue ``commands``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.credential import credential
from shared.errors import ConfigurationError, RequestRejectedError, TransientIntegrationError, VendorCall
from shared.settings import Settings, load

if TYPE_CHECKING:  # the SDK costs 0.2 s to import
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

QUEUE = "commands"
MOST_REPLAYS = 3
_PAGE, _MOST = 100, 1000
_SECONDS = 10.0


class ServiceBusSettings(Settings):
    """The namespace that commands come from; neither set: there are no commands."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    servicebus__fullyqualifiednamespace: str = Field(
        default="", description="Host name of the Service Bus namespace; read with the app's own identity."
    )
    servicebus: str = Field(default="", description="Connection string of Microsoft's emulator, or one like it.")


@dataclass(frozen=True)
class DeadLetter:
    """A command that nobody could take.

    Attributes:
        sequence: its number in the queue.
        id: the message's id; a replay has a new one.
        original_id: id of the message that it is a replay of, or its own.
        replays: how often it was replayed.
        deliveries: how often it was delivered.
    """

    sequence: int
    id: str
    original_id: str
    session: str
    replays: int
    deliveries: int
    reason: str
    detail: str
    enqueued_at: str


@asynccontextmanager
async def _client() -> AsyncIterator["ServiceBusClient"]:
    from azure.servicebus.aio import ServiceBusClient  # noqa: PLC0415 - heavy
    from azure.servicebus.exceptions import ServiceBusError  # noqa: PLC0415 - heavy

    settings = load(ServiceBusSettings)
    options: dict[str, Any] = {"retry_total": 2, "retry_backoff_factor": 0.2}
    try:
        if settings.servicebus:
            client = ServiceBusClient.from_connection_string(settings.servicebus, **options)
        elif settings.servicebus__fullyqualifiednamespace:
            client = ServiceBusClient(settings.servicebus__fullyqualifiednamespace, credential(), **options)
        else:
            raise ConfigurationError("SERVICEBUS__fullyQualifiedNamespace", "no Service Bus is configured")
        async with client:
            yield client
    except ServiceBusError as error:
        call = VendorCall("service bus", QUEUE)
        raise TransientIntegrationError(call, f"{type(error).__name__}: {error.message}") from error


async def dead_letters() -> list[DeadLetter]:
    """The dead letters, oldest first; looking changes nothing.

    Documentation: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues
    """
    async with _client() as client, _dead(client) as receiver:
        found = await receiver.peek_messages(_PAGE)
        return [_dead_letter(message) for message in found]


async def copy_id(sequence: int) -> str:
    """The id that a replay of this dead letter will have.

    Raises:
        RequestRejectedError: 404, there is none; 409, it was replayed often enough.
    """
    async with _client() as client, _dead(client) as dead:
        return _copy_id(_replayable(await _peek(dead, sequence)))


async def replay(sequence: int) -> str:
    """Send a dead letter once more, at the end of its session, and take it away; returns the new message's id.

    The copy needs a new id, else duplicate detection would swallow it. The id is derived, so that whoever dies between
    sending and taking away sends nothing new the next time.

    Raises:
        RequestRejectedError: 404, there is none; 409, it was replayed often enough.
    """
    async with _client() as client, _dead(client) as dead:
        message = await _peek(dead, sequence)
        copy = _copy(message, _replayable(message))
        async with client.get_queue_sender(QUEUE) as sender:
            await sender.send_messages(copy, timeout=_SECONDS)
        await _remove(dead, sequence)
    return str(copy.message_id)


async def require_dead_letter(sequence: int) -> None:
    """Demand that there is such a dead letter; raises RequestRejectedError (404)."""
    async with _client() as client, _dead(client) as dead:
        await _peek(dead, sequence)


async def discard(sequence: int) -> None:
    """Take a dead letter away for good; raises RequestRejectedError (404) when there is none."""
    async with _client() as client, _dead(client) as dead:
        await _peek(dead, sequence)
        await _remove(dead, sequence)


def _dead(client: "ServiceBusClient") -> "ServiceBusReceiver":
    from azure.servicebus import ServiceBusSubQueue  # noqa: PLC0415 - heavy

    return client.get_queue_receiver(QUEUE, sub_queue=ServiceBusSubQueue.DEAD_LETTER)


async def _peek(dead: "ServiceBusReceiver", sequence: int) -> "ServiceBusReceivedMessage":
    found = await dead.peek_messages(1, sequence_number=sequence)
    if not found or found[0].sequence_number != sequence:
        detail = f"There is no dead letter {sequence}: somebody may have been faster."
        raise RequestRejectedError("unknown-dead-letter", detail, status=404)
    return found[0]


async def _remove(dead: "ServiceBusReceiver", sequence: int) -> None:
    """Find it among those that can be locked, complete it, and let the others go; gone already is as good."""
    others: list[ServiceBusReceivedMessage] = []
    while len(others) < _MOST:
        received = await dead.receive_messages(_PAGE, max_wait_time=1)
        wanted = [message for message in received if message.sequence_number == sequence]
        others += [message for message in received if message.sequence_number != sequence]
        for message in wanted:
            await dead.complete_message(message)
        if wanted or not received:
            break
    for message in others:
        await dead.abandon_message(message)


def _properties(message: "ServiceBusReceivedMessage") -> dict[str, Any]:
    def text(value: Any) -> Any:
        return value.decode() if isinstance(value, bytes) else value

    return {str(text(name)): text(value) for name, value in (message.application_properties or {}).items()}


def _dead_letter(message: "ServiceBusReceivedMessage") -> DeadLetter:
    properties, at = _properties(message), message.enqueued_time_utc
    return DeadLetter(
        sequence=message.sequence_number or 0,
        id=str(message.message_id),
        original_id=str(properties.get("original-id", message.message_id)),
        session=message.session_id or "",
        replays=int(properties.get("replay-count", 0)),
        deliveries=message.delivery_count or 0,
        reason=message.dead_letter_reason or "",
        detail=message.dead_letter_error_description or "",
        enqueued_at=at.isoformat().replace("+00:00", "Z") if at else "",
    )


def _replayable(message: "ServiceBusReceivedMessage") -> DeadLetter:
    letter = _dead_letter(message)
    if letter.replays >= MOST_REPLAYS:
        detail = f"{letter.original_id} was replayed {letter.replays} times: mend what it needs, and discard it."
        raise RequestRejectedError("replayed-too-often", detail, status=409)
    return letter


def _copy_id(letter: DeadLetter) -> str:
    return f"{letter.original_id}#r{letter.replays + 1}"


def _copy(message: "ServiceBusReceivedMessage", letter: DeadLetter) -> Any:
    from azure.servicebus import ServiceBusMessage  # noqa: PLC0415 - heavy

    number = letter.replays + 1
    properties: dict[Any, Any] = {
        name: value for name, value in _properties(message).items() if not name.startswith("DeadLetter")
    }
    properties |= {"original-id": letter.original_id, "replay-count": number}
    return ServiceBusMessage(
        b"".join(message.body),
        message_id=_copy_id(letter),
        session_id=message.session_id,
        subject=message.subject,
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        application_properties=properties,
    )
