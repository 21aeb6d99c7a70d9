"""Length-prefixed msgpack frames between the host and its worker process."""

import asyncio
import struct
from typing import IO, Any

import msgpack

_LENGTH = struct.Struct("<I")

type Value = tuple[str | None, Any]
"""What the Functions protocol calls TypedData: its kind ("string", "json", "bytes", "http" or none) and the value."""

EMPTY: Value = (None, None)


def pack(message: object) -> bytes:
    body: bytes = msgpack.packb(message, use_bin_type=True)
    return _LENGTH.pack(len(body)) + body


def _unpack(body: bytes) -> Any:
    return msgpack.unpackb(body, raw=False, use_list=True, strict_map_key=False)


async def read(reader: asyncio.StreamReader) -> Any:
    """Return the next message; raises asyncio.IncompleteReadError when the other side is gone."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return _unpack(await reader.readexactly(length))


def read_blocking(stream: IO[bytes]) -> Any:
    """Return the next message; raises EOFError when the other side is gone."""
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(header)
    body = stream.read(length)
    if len(body) < length:
        raise EOFError
    return _unpack(body)
