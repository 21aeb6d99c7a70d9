"""A relay of TCP connections that can drop all of them at once, as a network does."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Relay:
    """Passes on what comes to `port`; `target` is the port that it goes to."""

    target: int = 0
    port: int = 0
    dropped: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def drop(self) -> None:
        """Drop every connection without a word."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(10)

    async def _drop(self) -> None:
        for writer in self._open.copy():
            writer.transport.abort()
            self.dropped += 1

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        await self._drop()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, there}
        await asyncio.gather(_pass_on(reader, there), _pass_on(back, writer))
        self._open -= {writer, there}


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
    writer.transport.abort()


@contextmanager
def relaying() -> Iterator[Relay]:
    """A relay on a free port, in a thread of its own."""
    relay = Relay()
    server = relay._loop.run_until_complete(asyncio.start_server(relay._serve, "127.0.0.1", 0))
    relay.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=relay._loop.run_forever)
    thread.start()
    try:
        yield relay
    finally:
        relay._loop.call_soon_threadsafe(relay._loop.stop)
        thread.join()
        relay._loop.run_until_complete(relay._end(server))
        relay._loop.close()
