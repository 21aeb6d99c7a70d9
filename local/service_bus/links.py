"""Links: what one side sends the other through a session."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from local.service_bus import amqp
from local.service_bus.amqp import Described, Fields, Symbol, UInt, ULong, composite, fault
from local.service_bus.queues import Broker, BrokerError, SessionLock

if TYPE_CHECKING:
    from local.service_bus.sessions import Session

SESSION_FILTER = Symbol("com.microsoft:session-filter")
LARGEST_MESSAGE = 256 * 1024
_CREDIT = 1000
_TICKS_1970 = 621_355_968_000_000_000
_WORD = 0xFFFFFFFF


class Link:
    """A link that the client attached; what it says of itself is in ``fields``."""

    sends = False

    def __init__(self, session: "Session", fields: Fields) -> None:
        self.session, self.fields = session, fields
        self.name, self.handle = fields[0], UInt(fields[1])
        self.closed = False

    def attach(self, source: Described | None = None, properties: dict[Symbol, Any] | None = None) -> None:
        ours, theirs = source or self.fields.get(5), self.fields.get(6)
        self._attach(ours, theirs, properties)

    def refuse(self, error: BrokerError) -> None:
        """Attach without what was asked for, and detach with the reason: so AMQP says no."""
        source, target = self.fields.get(5), self.fields.get(6)
        self._attach(None if self.sends else source, target if self.sends else None, None)
        self.detach(error)

    def _attach(self, source: object, target: object, properties: dict[Symbol, Any] | None) -> None:
        modes = self.fields.get(3), self.fields.get(4)
        first = UInt(0) if self.sends else None
        limits = first, ULong(LARGEST_MESSAGE), None, None
        reply = composite(
            amqp.ATTACH, self.name, self.handle, not self.sends, *modes, source, target, None, None, *limits, properties
        )
        self.session.send(reply)

    def detach(self, error: BrokerError | None = None) -> None:
        if not self.closed:
            self.closed = True
            reason = fault(error.condition, error.description) if error else None
            self.session.send(composite(amqp.DETACH, self.handle, True, reason))

    def on_flow(self, fields: Fields) -> None:
        """The client said how much it can take."""

    def on_close(self) -> None:
        """The client, or its connection, is gone."""


class Incoming(Link):
    """The client sends."""

    def __init__(self, session: "Session", fields: Fields, take: Callable[[bytes, int], None]) -> None:
        super().__init__(session, fields)
        self._take = take
        self._count, self._credit = int(fields.get(9, 0)), 0
        self._first: Fields | None = None
        self._partial = b""

    def grant(self) -> None:
        self._credit = _CREDIT
        self.session.send_flow(self.handle, self._count, self._credit)

    def on_transfer(self, fields: Fields, payload: bytes) -> None:
        self._first = self._first or fields
        self._partial += payload
        if fields.get(5):  # there is more to come
            return
        first, body = self._first, self._partial
        self._first, self._partial = None, b""
        self._count, self._credit = (self._count + 1) & _WORD, self._credit - 1
        state = self._taken(body, int(first.get(3, 0)))
        if not first.get(4):
            self.session.send(composite(amqp.DISPOSITION, True, first[1], first[1], True, state))
        if self._credit < _CREDIT // 2:
            self.grant()

    def _taken(self, body: bytes, form: int) -> Described:
        try:
            if len(body) > LARGEST_MESSAGE:
                text = f"The message is larger than {LARGEST_MESSAGE} bytes."
                raise BrokerError("amqp:link:message-size-exceeded", text)  # noqa: TRY301 - one way to say no
            self._take(body, form)
        except BrokerError as error:
            return composite(amqp.REJECTED, fault(error.condition, error.description))
        except amqp.DecodeError as error:
            return composite(amqp.REJECTED, fault("amqp:decode-error", str(error)))
        return composite(amqp.ACCEPTED)


class Outgoing(Link):
    """The client receives: as much as it gave credit for."""

    sends = True

    def __init__(self, session: "Session", fields: Fields) -> None:
        super().__init__(session, fields)
        self._count = self.credit = 0
        self._replies: list[bytes] = []

    def on_flow(self, fields: Fields) -> None:
        if fields.get(6) is not None:
            self.credit = max(0, int(fields.get(5, 0)) + int(fields[6]) - self._count)
        self._send_replies()
        if fields.get(8):  # use the credit up now
            self._count, self.credit = (self._count + self.credit) & _WORD, 0
            self.session.send_flow(self.handle, self._count, 0, drain=True)

    def reply(self, body: bytes) -> None:
        self._replies.append(body)
        self._send_replies()

    def _send_replies(self) -> None:
        while self._replies and self.credit:
            self.transfer(self._replies.pop(0), uuid.uuid4().bytes, settled=True)

    def transfer(self, body: bytes, tag: bytes, *, settled: bool) -> int:
        """Send a message in as many frames as it needs; returns the number of the delivery."""
        self._count, self.credit = (self._count + 1) & _WORD, self.credit - 1
        return self.session.send_message(self.handle, body, tag, settled=settled)


class Consumer(Outgoing):
    """A receiver of a queue or of its dead letters."""

    def __init__(self, session: "Session", fields: Fields, broker: Broker, queue: str) -> None:
        super().__init__(session, fields)
        self.broker, self.queue = broker, queue
        self.lock: SessionLock | None = None
        self._deadline = 0
        self._waiting = False

    def begin(self) -> None:
        """Attach at once, or when a session is there for it."""
        if int(self.fields.get(3, 2)) == 1:
            raise BrokerError("amqp:not-implemented", "This broker has no receive-and-delete.", 501)
        filters = Fields(self.fields[5].value).get(7, {})
        if SESSION_FILTER in filters:
            timeout = self.fields.get(13, {}).get("com.microsoft:timeout", 60_000)
            self._deadline, self._waiting = self.broker.now() + int(timeout), True
        elif self.broker.options(self.queue).sessions:
            text = "It is not possible for an entity that requires sessions to create a non-sessionful receiver."
            raise BrokerError("amqp:not-allowed", text)
        else:
            self.attach()
        self.session.connection.server.consumers.append(self)
        self.broker.changed.add(self.queue)

    def pump(self) -> bool:
        """Deliver a message or accept a session, if this can be done now; returns whether it was."""
        if self._waiting:
            return self._accept()
        if self.closed or self.credit <= 0:
            return False
        message = self.broker.acquire(self.queue, self.lock)
        if message is None or message.token is None:
            return False
        # .NET's order of bytes, as every client of Service Bus expects.
        number = self.transfer(message.encode(), message.token.bytes_le, settled=False)
        self.session.unsettled[number] = self.queue, message.token
        return True

    def _accept(self) -> bool:
        wanted = Fields(self.fields[5].value)[7][SESSION_FILTER]
        try:
            wanted = wanted.value if isinstance(wanted, Described) else wanted
            self.lock = self.broker.accept(self.queue, wanted, self._on_lost)
        except BrokerError as error:
            self._waiting = False
            self.refuse(error)
            return True
        if self.lock is None:
            return False
        self._waiting = False
        source = Fields([*self.fields[5].value, *[None] * 8][: max(8, len(self.fields[5].value))])
        source[7] = {SESSION_FILTER: self.lock.session}
        until = {Symbol("com.microsoft:locked-until-utc"): _TICKS_1970 + self.lock.until * 10_000}
        self.attach(composite(amqp.SOURCE, *source), until)
        return True

    def tick(self) -> None:
        if self._waiting and self.broker.now() >= self._deadline:
            self._waiting = False
            text = "The operation did not complete within the allotted time."
            self.refuse(BrokerError("com.microsoft:timeout", text, 408))

    def _on_lost(self, error: BrokerError) -> None:
        self.lock = None
        self.detach(error)

    def on_flow(self, fields: Fields) -> None:
        super().on_flow(fields)
        self.broker.changed.add(self.queue)

    def on_close(self) -> None:
        self._waiting = False
        if self in self.session.connection.server.consumers:
            self.session.connection.server.consumers.remove(self)
        if self.lock:
            self.broker.release(self.lock)
