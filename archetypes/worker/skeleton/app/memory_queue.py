"""A queue in memory that behaves like Service Bus where it matters: locks, delivery counts, dead letters."""

from collections import deque

from app.messages import Message, QueueUnavailableError


class MemoryQueue:
    """For tests and a laptop. ``away`` makes the next calls fail as a broken connection does."""

    def __init__(self, max_delivery_count: int = 10) -> None:
        self.max_delivery_count = max_delivery_count
        self.dead: list[tuple[Message, str]] = []
        self.done: list[str] = []
        self.away = 0
        self._waiting: deque[Message] = deque()
        self._locked: dict[str, Message] = {}

    def send(self, identifier: str, body: bytes) -> None:
        """Put a message in; one with a known id is a duplicate and is dropped, as the real queue does."""
        known = {*self.done, *self._locked, *(message.id for message in self._waiting)}
        if identifier not in known:
            self._waiting.append(Message(identifier, body, 1))

    def receive(self, seconds: float) -> list[Message]:
        """Lock the next message."""
        del seconds
        if self.away:
            self.away -= 1
            raise QueueUnavailableError("connection lost")
        if not self._waiting:
            return []
        message = self._waiting.popleft()
        self._locked[message.id] = message
        return [message]

    def complete(self, message: Message) -> None:
        """Take it out."""
        self._unlock(message)
        self.done.append(message.id)

    def abandon(self, message: Message) -> None:
        """Let it come again, or give it up."""
        self._unlock(message)
        if message.delivery >= self.max_delivery_count:
            self.dead.append((message, "MaxDeliveryCountExceeded"))
        else:
            self._waiting.append(Message(message.id, message.body, message.delivery + 1))

    def dead_letter(self, message: Message, reason: str, description: str) -> None:
        """Put it aside."""
        del description
        self._unlock(message)
        self.dead.append((message, reason))

    def close(self) -> None:
        """The locks end: what was not finished comes again."""
        for message in list(self._locked.values()):
            self.abandon(message)

    def _unlock(self, message: Message) -> None:
        if self._locked.pop(message.id, None) is None:
            raise QueueUnavailableError(f"the lock of {message.id} is lost")
