"""A message: the sections its sender wrote, and what the broker adds when it delivers it."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from local.service_bus import amqp
from local.service_bus.amqp import Described, Fields, Reader, Symbol, Timestamp, UInt, ULong

_MESSAGE_ID, _GROUP = 0, 10
_TIME_TO_LIVE = 2


@dataclass
class Sections:
    """The sections of an encoded message; body and properties also as the sender's own bytes."""

    header: Fields = field(default_factory=Fields)
    annotations: dict[Any, Any] = field(default_factory=dict)
    properties: Fields = field(default_factory=Fields)
    application: dict[Any, Any] = field(default_factory=dict)
    value: Any = None
    data: list[bytes] = field(default_factory=list)
    body: bytes = b""

    @property
    def message_id(self) -> str | None:
        found = self.properties.get(_MESSAGE_ID)
        return None if found is None else str(found)

    @property
    def session(self) -> str | None:
        found = self.properties.get(_GROUP)
        return None if found is None else str(found)

    @property
    def time_to_live(self) -> int | None:
        found = self.header.get(_TIME_TO_LIVE)
        return None if found is None else int(found)


def parse(raw: bytes) -> Sections:
    """Split an encoded message; raises DecodeError."""
    sections, reader = Sections(), Reader(raw)
    while not reader.ended:
        start = reader.at
        part = reader.value()
        if not isinstance(part, Described):
            raise amqp.DecodeError("a message consists of sections")
        match part.code:
            case amqp.HEADER:
                sections.header = Fields(part.value)
            case amqp.ANNOTATIONS:
                sections.annotations = part.value or {}
            case amqp.PROPERTIES:
                sections.properties = Fields(part.value)
            case amqp.APPLICATION:
                sections.application = part.value or {}
            case amqp.DATA | amqp.SEQUENCE | amqp.VALUE | amqp.FOOTER:
                sections.body += raw[start : reader.at]
                if part.code == amqp.DATA:
                    sections.data.append(part.value)
                else:
                    sections.value = part.value
            case amqp.DELIVERY_ANNOTATIONS:
                pass  # between two hops only
            case _:
                raise amqp.DecodeError(f"there is no section {part.code}")
    return sections


def section(code: int, value: Any) -> bytes:
    return amqp.encode(Described(ULong(code), value))


@dataclass(frozen=True)
class Message:
    """A stored message, and how it stands."""

    sequence: int
    raw: bytes
    message_id: str
    enqueued: int
    deliveries: int
    token: UUID | None
    locked_until: int | None
    reason: str | None
    description: str | None

    def encode(self) -> bytes:
        """The message as it is delivered; the header is always there, the SDK reads the delivery count from it."""
        sections = parse(self.raw)
        header = [*sections.header, None, None, None][:3]
        annotations = sections.annotations | {
            Symbol("x-opt-sequence-number"): self.sequence,
            Symbol("x-opt-enqueued-time"): Timestamp(self.enqueued),
        }
        if self.token and self.locked_until:
            annotations[Symbol("x-opt-locked-until")] = Timestamp(self.locked_until)
        dead = {"DeadLetterReason": self.reason, "DeadLetterErrorDescription": self.description}
        application = sections.application | {name: text for name, text in dead.items() if text is not None}
        properties = list(sections.properties) or [None]
        if properties[_MESSAGE_ID] is None:
            properties[_MESSAGE_ID] = self.message_id  # the service names what its sender did not
        raw = section(amqp.HEADER, [*header, None, UInt(self.deliveries)])
        raw += section(amqp.ANNOTATIONS, annotations) + section(amqp.PROPERTIES, properties)
        if application:
            raw += section(amqp.APPLICATION, application)
        return raw + (sections.body or section(amqp.DATA, b""))
