"""Connections. Each turn of the network: apply what came, deliver, commit, and only then let anybody see it."""

import asyncio
import logging
import struct
from collections import deque

from local.service_bus import amqp
from local.service_bus.amqp import Fields, Reader, Symbol, UByte, UInt, UShort, composite, fault
from local.service_bus.links import Consumer
from local.service_bus.queues import Broker
from local.service_bus.sessions import Session

_log = logging.getLogger("local.service_bus")
_LARGEST_FRAME = 65_536
_HEADER, _SASL_HEADER = b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00"
_MECHANISMS = amqp.Array(Symbol, ["ANONYMOUS", "MSSBCBS", "PLAIN"])
_TICK = 0.05


class Connection(asyncio.Protocol):
    """One client."""

    transport: asyncio.Transport

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.largest_frame = 512
        self._buffer, self._out = bytearray(), bytearray()
        self._in_frames = False
        self._sessions: dict[int, Session] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's word for it
        self.transport = transport
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._close()
        self.server.connections.discard(self)
        self.server.turn()

    def _close(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def write(self, data: bytes) -> None:
        self._out += data
        self.server.speaking.add(self)

    def send(self) -> None:
        """Let the client see what was written."""
        self.transport.write(bytes(self._out))
        self._out.clear()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while self._step():
                pass
        except Exception as error:  # noqa: BLE001 - a client that talks nonsense must not take the broker down
            _log.exception("A client is not understood.")
            self.write(amqp.frame(0, composite(amqp.CLOSE, fault("amqp:internal-error", str(error)))))
            self.server.turn()
            self.transport.close()
            return
        self.server.turn()

    def _step(self) -> bool:
        """Take one header or frame off the buffer; returns whether there was a whole one."""
        if len(self._buffer) < 8:
            return False
        if not self._in_frames:
            self._greet(self._cut(8))
            return True
        size, offset, kind, channel = struct.unpack_from(">IBBH", self._buffer)
        if not 8 <= size <= _LARGEST_FRAME:
            raise ValueError(f"a frame of {size} bytes")
        if len(self._buffer) < size:
            return False
        raw = self._cut(size)[offset * 4 :]
        if raw:  # an empty frame only says that the client lives
            reader = Reader(raw)
            said = reader.value()
            self._on_frame(kind, channel, int(said.code), Fields(said.value), raw[reader.at :])
        return True

    def _cut(self, size: int) -> bytes:
        cut = bytes(self._buffer[:size])
        del self._buffer[:size]
        return cut

    def _greet(self, header: bytes) -> None:
        if header not in (_HEADER, _SASL_HEADER):
            raise ValueError(f"unknown protocol {header!r}")
        self.write(header)
        self._in_frames = True
        if header == _SASL_HEADER:
            self.write(amqp.frame(0, composite(amqp.SASL_MECHANISMS, _MECHANISMS), sasl=True))

    def _on_frame(self, kind: int, channel: int, code: int, fields: Fields, payload: bytes) -> None:
        if kind == 1:
            if code == amqp.SASL_INIT:
                self.write(amqp.frame(0, composite(amqp.SASL_OUTCOME, UByte(0)), sasl=True))
                self._in_frames = False
            return
        match code:
            case amqp.OPEN:
                self.largest_frame = min(int(fields.get(2, _LARGEST_FRAME)), _LARGEST_FRAME)
                opened = composite(amqp.OPEN, "local", None, UInt(_LARGEST_FRAME), UShort(255))
                self.write(amqp.frame(0, opened))
            case amqp.BEGIN:
                self._sessions[channel] = Session(self, channel, fields)
            case amqp.END:
                self._sessions.pop(channel).close()
                self.write(amqp.frame(channel, composite(amqp.END)))
            case amqp.CLOSE:
                self._close()
                self.write(amqp.frame(0, composite(amqp.CLOSE)))
                self.server.turn()
                self.transport.close()
            case _ if channel not in self._sessions:
                pass  # it was closed, and this was on its way
            case amqp.TRANSFER:
                self._sessions[channel].on_transfer(fields, payload)
            case _:
                self._in_session(self._sessions[channel], code, fields)

    @staticmethod
    def _in_session(session: Session, code: int, fields: Fields) -> None:
        known = {
            amqp.ATTACH: session.on_attach,
            amqp.FLOW: session.on_flow,
            amqp.DISPOSITION: session.on_disposition,
            amqp.DETACH: session.on_detach,
        }
        known[code](fields)


class Server:
    """Listens, delivers, and looks at the clock."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.connections: set[Connection] = set()
        self.speaking: set[Connection] = set()
        self.consumers: deque[Consumer] = deque()

    def turn(self) -> None:
        """Deliver what can be delivered, keep it, and only then send."""
        while self.broker.changed:
            changed, self.broker.changed = self.broker.changed, set()
            idle = 0
            while idle < len(self.consumers):  # one message each, so that all receivers have their share
                self.consumers.rotate(-1)
                consumer = self.consumers[-1]
                idle = 0 if consumer.queue in changed and consumer.pump() else idle + 1
        self.broker.commit()
        speaking, self.speaking = self.speaking, set()
        for connection in speaking:
            connection.send()

    async def listen(self, port: int) -> int:
        """Accept clients on this machine; returns the port."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), "127.0.0.1", port)
        self._clock = loop.create_task(self._watch())
        return int(self._listener.sockets[0].getsockname()[1])

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self.broker.tick()
            for consumer in list(self.consumers):
                consumer.tick()
            self.turn()

    async def stop(self) -> None:
        self._clock.cancel()
        self._listener.close()
        for connection in list(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        self.broker.close()
