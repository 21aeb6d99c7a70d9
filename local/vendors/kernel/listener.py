"""One port for everything: TLS, an HTTP CONNECT proxy and plain HTTP, told apart by the first byte.

Behind CONNECT and TLS the same aiohttp server answers, whatever host the client asked for: the certificate
authority shows a certificate for the name in the client's SNI, and the Host header chooses the stand-in.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

TLS_HANDSHAKE = 0x16
CONNECT = ord("C")  # no other HTTP method that the stand-ins know starts with it
HEADER_LIMIT = 16 * 1024

log = logging.getLogger("local.vendors.listener")


class PortTakenError(Exception):
    """Another program has the port."""


class Listener:
    """Accepts connections on 127.0.0.1 and hands them, decrypted, to an aiohttp server."""

    def __init__(self, server: Callable[[], asyncio.BaseProtocol], context: ssl.SSLContext) -> None:
        self._server = server
        self._context = context
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._tasks: set[asyncio.Task[None]] = set()

    def bind(self, port: int) -> int:
        """Take the port (0: a free one) and return it. Raises PortTakenError."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTakenError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from error
        self._socket.setblocking(False)
        bound: int = self._socket.getsockname()[1]
        return bound

    def start(self) -> None:
        self._socket.listen(512)
        self._track(self._accept())

    async def stop(self) -> None:
        """Stop accepting; connections that the server already has are the server's to end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket.close()

    def _track(self, work: "asyncio._CoroutineLike[None]") -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._socket)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._track(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        handed_over = False
        try:
            first = await _peek(connection)
            if first == CONNECT and await _accept_tunnel(connection):
                first = await _peek(connection)
            if first is not None and first != CONNECT:
                context = self._context if first == TLS_HANDSHAKE else None
                await asyncio.get_running_loop().connect_accepted_socket(self._server, connection, ssl=context)
                handed_over = True
        except (OSError, ssl.SSLError) as error:
            # A client that does not trust the authority or goes away: its problem, but worth a line.
            log.debug("connection ended early: %s", error)
        finally:
            if not handed_over:
                connection.close()


async def _peek(connection: socket.socket) -> int | None:
    """The next byte of a connection, left unread; None when the client closed it."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    data = connection.recv(1, socket.MSG_PEEK)
    return data[0] if data else None


async def _accept_tunnel(connection: socket.socket) -> bool:
    """Read a CONNECT request and answer it. The client sends nothing of the tunnel before that answer."""
    loop = asyncio.get_running_loop()
    header = b""
    while b"\r\n\r\n" not in header:
        chunk = await loop.sock_recv(connection, 4096)
        header += chunk
        if not chunk or len(header) > HEADER_LIMIT:
            return False
    if not header.startswith(b"CONNECT ") or not header.endswith(b"\r\n\r\n"):
        await loop.sock_sendall(
            connection, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        return False
    await loop.sock_sendall(connection, b"HTTP/1.1 200 Connection established\r\n\r\n")
    return True
