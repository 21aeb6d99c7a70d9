"""Service Bus triggers of queues: peek-lock, complete on return, abandon on raise, locks renewed at half time.

What the real extension does (Azure/azure-sdk-for-net, WebJobs.Extensions.ServiceBus), over Microsoft's own client.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from local.host.errors import FunctionError, HostError, WorkerLostError
from local.host.extensions import Extension, Listener, Services
from local.host.frames import Value
from local.host.functions import Function
from local.host.settings import expand

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

_log = logging.getLogger("local.host.service_bus")
_UNSUPPORTED = {"topicName": "topics", "cardinality": "batches", "autoCompleteMessages": "settling by hand"}
_DEFAULTS = {"topicName": ("",), "cardinality": ("", "one"), "autoCompleteMessages": ("", True)}


class ServiceBus(Extension):
    """The serviceBusTrigger."""

    name = "servicebus"
    bindings = frozenset({"serviceBusTrigger"})

    def listeners(self) -> dict[str, Listener]:
        """One receiver for each call, or session, that may run at the same time."""
        found: dict[str, Listener] = {}
        for function in self.services.of_kind("serviceBusTrigger"):
            trigger = _Trigger(self.services, function)
            found |= {f"{function.name} {n}": partial(_Trigger.listen, trigger) for n in range(trigger.receivers)}
        return found

    def test_value(self, text: str) -> Value:
        return "string", text


class _Trigger:
    """One function and its queue."""

    def __init__(self, services: Services, function: Function) -> None:
        self._services, self._function, options = services, function, services.settings.service_bus
        binding = function.trigger
        for name, what in _UNSUPPORTED.items():
            if binding.get(name, "") not in _DEFAULTS[name]:
                raise HostError(f"Function '{function.name}': {what} of Service Bus are not implemented.")
        self._queue, _, below = expand(binding["queueName"], services.environment).partition("/$")
        self._dead_letters = bool(below)
        self._connection = _connection_string(function, services.environment)
        self._sessions = bool(binding.get("isSessionsEnabled"))
        self.receivers = options.sessions if self._sessions else options.calls
        self._idle, self._renewal = options.idle, options.renewal

    async def listen(self, stopping: asyncio.Event) -> None:
        from azure.servicebus.aio import ServiceBusClient  # noqa: PLC0415 - 0.2 s that only apps with a queue pay
        from azure.servicebus.exceptions import OperationTimeoutError  # noqa: PLC0415

        async with ServiceBusClient.from_connection_string(self._connection, retry_total=0) as client:
            while not stopping.is_set():
                with contextlib.suppress(OperationTimeoutError):  # there was no session to be had
                    async with self._receiver(client) as receiver:
                        await self._work(receiver, stopping)

    def _receiver(self, client: "ServiceBusClient") -> "ServiceBusReceiver":
        from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusSubQueue  # noqa: PLC0415

        session = NEXT_AVAILABLE_SESSION if self._sessions else None
        below = ServiceBusSubQueue.DEAD_LETTER if self._dead_letters else None
        return client.get_queue_receiver(self._queue, session_id=session, sub_queue=below, max_wait_time=self._idle)

    async def _work(self, receiver: "ServiceBusReceiver", stopping: asyncio.Event) -> None:
        """Call the function for each message; a session without one is given free for others."""
        while not stopping.is_set():
            messages = await receiver.receive_messages(1, max_wait_time=self._idle)
            for message in messages:
                await self._handle(receiver, message)
            if self._sessions and not messages:
                return

    async def _handle(self, receiver: "ServiceBusReceiver", message: "ServiceBusReceivedMessage") -> None:
        keeper = asyncio.create_task(self._keep(receiver, message))
        try:
            await self._call(message)
        except (FunctionError, WorkerLostError):  # logged where it ran; again at once, as the extension does
            settle = receiver.abandon_message
        else:
            settle = receiver.complete_message
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        await settle(message)  # not settled, it comes again when its lock ends

    async def _call(self, message: "ServiceBusReceivedMessage") -> None:
        reason = f"New ServiceBus message detected on '{self._queue}'."
        body = b"".join(message.body)
        await self._services.run(self._function, reason, ("bytes", body), metadata=metadata_of(message))

    async def _keep(self, receiver: "ServiceBusReceiver", message: "ServiceBusReceivedMessage") -> None:
        """Renew the lock at half time until the function has ended, or the extension's longest renewal is over."""
        end = asyncio.get_running_loop().time() + self._renewal
        until = receiver.session.locked_until_utc if self._sessions else message.locked_until_utc
        while until and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(max((until - datetime.now(UTC)).total_seconds() / 2, 0.05))
            renewing = receiver.session.renew_lock() if self._sessions else receiver.renew_message_lock(message)
            until = await renewing


def _connection_string(function: Function, environment: Mapping[str, str]) -> str:
    name = function.trigger.get("connection") or "AzureWebJobsServiceBus"
    found = environment.get(name) or environment.get(f"AzureWebJobs{name}", "")
    if not found:
        raise HostError(f"Function '{function.name}': the app setting '{name}' is missing (local.settings.json).")
    return found


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(key): _text(item) for key, item in value.items()}
    return value.decode() if isinstance(value, bytes) else value


def _moment(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None


def metadata_of(message: "ServiceBusReceivedMessage") -> dict[str, Value]:
    """The binding data of the extension (ServiceBusTriggerBindingStrategy): these keys and no others."""
    properties = json.dumps(_text(message.application_properties or {}), default=str)
    texts = {
        "LockToken": str(message.lock_token),
        "MessageId": message.message_id,
        "ContentType": message.content_type,
        "ReplyTo": message.reply_to,
        "To": message.to,
        "Subject": message.subject,
        "Label": message.subject,
        "CorrelationId": message.correlation_id,
        "SessionId": message.session_id,
        "ReplyToSessionId": message.reply_to_session_id,
        "PartitionKey": message.partition_key,
        "DeadLetterSource": message.dead_letter_source,
        "EnqueuedTimeUtc": _moment(message.enqueued_time_utc),
        "ExpiresAtUtc": _moment(message.expires_at_utc),
    }
    found: dict[str, Value] = {name: ("string", text) for name, text in texts.items() if text is not None}
    # .NET counts this delivery, the client for Python only those before it.
    found["DeliveryCount"] = "json", str((message.delivery_count or 0) + 1)
    found["SequenceNumber"] = "json", str(message.sequence_number)
    return found | dict.fromkeys(("ApplicationProperties", "UserProperties"), ("json", properties))
