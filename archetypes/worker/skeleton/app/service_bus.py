"""The queue in Azure Service Bus, signed in to with the workload identity: no connection string exists.

https://learn.microsoft.com/python/api/overview/azure/servicebus-readme
"""

from typing import Any

from app.messages import Message, QueueUnavailableError

LOCK_RENEWAL_SECONDS = 600


class ServiceBusQueue:
    """Opens its connection with the first receive, and again after each failure."""

    def __init__(self, host: str, queue: str) -> None:
        self._host, self._queue = host, queue
        self._client: Any = None
        self._receiver: Any = None
        self._renewer: Any = None
        self._received: dict[str, Any] = {}

    def receive(self, seconds: float) -> list[Message]:
        """Lock the next message and keep the lock while it is worked on."""
        from azure.core.exceptions import AzureError

        try:
            receiver = self._open()
            found = receiver.receive_messages(max_message_count=1, max_wait_time=seconds)
            for message in found:
                self._renewer.register(receiver, message, max_lock_renewal_duration=LOCK_RENEWAL_SECONDS)
        except (AzureError, OSError, ValueError) as error:
            self.close()
            raise QueueUnavailableError(f"{type(error).__name__}: {self._host}") from error
        return [self._taken(message) for message in found]

    def complete(self, message: Message) -> None:
        """It never comes again."""
        self._settle("complete_message", message)

    def abandon(self, message: Message) -> None:
        """It comes again."""
        self._settle("abandon_message", message)

    def dead_letter(self, message: Message, reason: str, description: str) -> None:
        """It goes to the dead-letter queue."""
        self._settle("dead_letter_message", message, reason=reason, error_description=description)

    def close(self) -> None:
        """Close the connection; what was not finished comes again when its lock ends."""
        opened = [part for part in (self._renewer, self._receiver, self._client) if part is not None]
        self._client = self._receiver = self._renewer = None
        self._received.clear()
        for part in opened:
            part.close()

    def _open(self) -> Any:
        if self._receiver is None:
            from azure.identity import WorkloadIdentityCredential
            from azure.servicebus import AutoLockRenewer, ServiceBusClient

            self._client = ServiceBusClient(self._host, WorkloadIdentityCredential(), retry_total=0)
            self._receiver = self._client.get_queue_receiver(self._queue)
            self._renewer = AutoLockRenewer()
        return self._receiver

    def _taken(self, message: Any) -> Message:
        identifier = str(message.message_id)
        self._received[identifier] = message
        return Message(identifier, b"".join(message.body), (message.delivery_count or 0) + 1)

    def _settle(self, how: str, message: Message, **more: str) -> None:
        from azure.core.exceptions import AzureError

        try:
            getattr(self._receiver, how)(self._received.pop(message.id), **more)
        except (AzureError, AttributeError, KeyError, OSError) as error:
            self.close()
            raise QueueUnavailableError(f"{type(error).__name__}: {how}") from error
