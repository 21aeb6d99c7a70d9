"""The port to the queue. Everything that the consumer knows about Service Bus stands here."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Message:
    """One delivery of a message; a message that was not finished comes again, with a higher count."""

    id: str
    body: bytes
    delivery: int


class QueueUnavailableError(Exception):
    """The queue cannot be reached now; the caller tries again later."""


class InvalidMessageError(Exception):
    """The message can never be processed: trying it again would not help."""


class Queue(Protocol):
    """Where messages come from. Each one that was received ends in exactly one of the three ways."""

    def receive(self, seconds: float) -> list[Message]:
        """Return what is there, or wait so long for something. Raises QueueUnavailableError."""

    def complete(self, message: Message) -> None:
        """It is done and never comes again."""

    def abandon(self, message: Message) -> None:
        """It comes again; after the queue's limit of deliveries it is a dead letter."""

    def dead_letter(self, message: Message, reason: str, description: str) -> None:
        """Put it aside for people, with the reason."""

    def close(self) -> None:
        """Give back what was received and not finished."""
