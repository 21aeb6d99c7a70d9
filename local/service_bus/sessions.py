"""AMQP sessions: they attach links, carry messages and settle deliveries."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from local.service_bus import amqp, management, messages
from local.service_bus.amqp import Described, Fields, Int, Symbol, UInt, ULong, UShort, composite, fault
from local.service_bus.links import LARGEST_MESSAGE, Consumer, Incoming, Link, Outgoing
from local.service_bus.queues import Broker, BrokerError

if TYPE_CHECKING:
    from local.service_bus.server import Connection

_WINDOW = UInt(2**31 - 1)
_BATCH = 0x80013700
_ROOM = 64  # of a frame, for what surrounds its payload


def entity_of(address: str) -> str:
    """The queue of a link's address: `amqps://host:port/Commands/` is `commands`."""
    if "://" in address:
        address = address.split("://", 1)[1].partition("/")[2]
    return address.strip("/").lower()


class Session:
    """One session of a connection."""

    def __init__(self, connection: "Connection", channel: int, fields: Fields) -> None:
        self.connection, self._channel = connection, channel
        self._received, self._sent = int(fields[1]), 0
        self.links: dict[int, Link] = {}
        self.unsettled: dict[int, tuple[str, uuid.UUID]] = {}
        self._nodes: dict[str, Outgoing] = {}
        self.send(composite(amqp.BEGIN, UShort(channel), UInt(0), _WINDOW, _WINDOW, UInt(255)))

    @property
    def _broker(self) -> Broker:
        return self.connection.server.broker

    # -- sending

    def send(self, performative: Described, payload: bytes = b"") -> None:
        self.connection.write(amqp.frame(self._channel, performative, payload))

    def send_flow(self, handle: UInt, count: int, credit: int, *, drain: bool = False) -> None:
        windows = UInt(self._received), _WINDOW, UInt(self._sent), _WINDOW
        self.send(composite(amqp.FLOW, *windows, handle, UInt(count), UInt(credit), None, drain))

    def send_message(self, handle: UInt, body: bytes, tag: bytes, *, settled: bool) -> int:
        number, room = self._sent, self.connection.largest_frame - _ROOM
        for start in range(0, len(body), room):
            more = start + room < len(body)
            head = composite(amqp.TRANSFER, handle, UInt(number), tag, UInt(0), settled, more)
            self.send(head, body[start : start + room])
            self._sent += 1
        return number

    # -- what the client says

    def on_attach(self, fields: Fields) -> None:
        client_receives = bool(fields[2])
        terminus = fields.get(5) if client_receives else fields.get(6)
        entity = entity_of(str(Fields(terminus.value).get(0, "")) if terminus else "")
        link = self._link(entity, fields, client_receives=client_receives)
        self.links[fields[1]] = link
        try:
            if isinstance(link, Consumer):
                self._broker.options(link.queue)
                link.begin()
                return
            if isinstance(link, Incoming) and "$" not in entity:
                self._broker.options(entity)
            link.attach(properties={Symbol("com.microsoft:max-message-batch-size"): ULong(LARGEST_MESSAGE)})
            if isinstance(link, Incoming):
                link.grant()
        except BrokerError as error:
            link.refuse(error)

    def _link(self, entity: str, fields: Fields, *, client_receives: bool) -> Link:
        node = entity == "$cbs" or entity.endswith("$management")
        if client_receives:
            if not node:
                return Consumer(self, fields, self._broker, entity)
            self._nodes[entity] = Outgoing(self, fields)
            return self._nodes[entity]
        if entity == "$cbs":
            return Incoming(self, fields, self._on_token)
        return Incoming(self, fields, self._on_question(entity) if node else self._on_message(entity))

    def on_flow(self, fields: Fields) -> None:
        link = self.links.get(fields.get(4, -1))
        if link:
            link.on_flow(fields)

    def on_transfer(self, fields: Fields, payload: bytes) -> None:
        self._received = (self._received + 1) & 0xFFFFFFFF
        link = self.links.get(fields[0])
        if isinstance(link, Incoming) and not link.closed:
            link.on_transfer(fields, payload)

    def on_disposition(self, fields: Fields) -> None:
        if not fields[0]:  # of what the client sent: that is settled already
            return
        for number in range(fields[1], int(fields.get(2, fields[1])) + 1):
            held = self.unsettled.pop(number, None)
            if held is not None:
                state = self._settle(*held, fields.get(4, composite(amqp.ACCEPTED)))
                if not fields.get(3):
                    self.send(composite(amqp.DISPOSITION, False, UInt(number), UInt(number), True, state))

    def _settle(self, queue: str, token: uuid.UUID, state: Described) -> Described:
        """Do what the client decided about a message; returns what it is to be told."""
        try:
            match state.code:
                case amqp.ACCEPTED:
                    self._broker.complete(queue, token)
                case amqp.RELEASED:
                    self._broker.abandon(queue, token, failed=False)
                case amqp.MODIFIED:
                    self._broker.abandon(queue, token)
                case amqp.REJECTED:
                    reason, text = _why(Fields(state.value))
                    self._broker.dead_letter(queue, token, reason, text)
                    return composite(amqp.REJECTED)  # with an error in it, it would mean: not done
        except BrokerError as error:
            return composite(amqp.REJECTED, fault(error.condition, error.description))
        return state

    def on_detach(self, fields: Fields) -> None:
        link = self.links.pop(fields[0], None)
        if link:
            link.on_close()
            link.detach()

    def close(self) -> None:
        for link in self.links.values():
            link.on_close()
            link.closed = True
        self.links.clear()

    # -- what arrives

    def _on_message(self, queue: str) -> Callable[[bytes, int], None]:
        def take(body: bytes, form: int) -> None:
            self._broker.send(queue, messages.parse(body).data if form == _BATCH else [body])

        return take

    def _on_token(self, body: bytes, _form: int) -> None:
        """Every token is good: the broker listens on this machine only."""
        self._reply("$cbs", messages.parse(body), {"status-code": Int(202), "status-description": "Accepted"}, None)

    def _on_question(self, node: str) -> Callable[[bytes, int], None]:
        queue = node.rpartition("/")[0]

        def take(body: bytes, _form: int) -> None:
            asked = messages.parse(body)
            facts: dict[str, Any] = {"statusDescription": "OK"}
            try:
                operation = str(asked.application.get("operation"))
                status, told = management.answer(self._broker, queue, operation, asked.value or {})
            except BrokerError as error:
                status, told = error.status, {}
                facts = {"statusDescription": error.description, "errorCondition": Symbol(error.condition)}
            self._reply(node, asked, {"statusCode": Int(status), **facts}, told)

        return take

    def _reply(self, node: str, asked: messages.Sections, facts: dict[str, Any], value: Any) -> None:
        properties = [None, None, None, None, None, asked.properties.get(0)]
        body = messages.section(amqp.PROPERTIES, properties) + messages.section(amqp.APPLICATION, facts)
        link = self._nodes.get(node)
        if link and not link.closed:
            link.reply(body + messages.section(amqp.VALUE, value))


def _why(fields: Fields) -> tuple[str | None, str | None]:
    told = fields.get(0)
    info = Fields(told.value).get(2, {}) if told else {}
    return info.get("DeadLetterReason"), info.get("DeadLetterErrorDescription")
