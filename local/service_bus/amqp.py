"""The AMQP 1.0 type system and its frames: as much as the clients of Service Bus speak."""

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class UByte(int):
    """8 bits, unsigned."""


class UShort(int):
    """16 bits, unsigned."""


class UInt(int):
    """32 bits, unsigned."""


class ULong(int):
    """64 bits, unsigned."""


class Byte(int):
    """8 bits."""


class Short(int):
    """16 bits."""


class Int(int):
    """32 bits; a plain int is 64 bits."""


class Timestamp(int):
    """Milliseconds since 1970."""


class Float(float):
    """32 bits; a plain float is 64 bits."""


class Char(int):
    """One code point."""


class Symbol(str):
    """A name out of a closed world; ASCII."""

    __slots__ = ()


@dataclass(frozen=True)
class Described:
    """A value with a descriptor that says what it means."""

    code: Any
    value: Any


@dataclass(frozen=True)
class Array:
    """Values of one numeric type or all symbols."""

    kind: type
    items: list[Any]


class DecodeError(ValueError):
    """These bytes are not AMQP."""


# Two facts about the readers decide the forms written here: a descriptor must be a small ulong, because Microsoft's
# Python library finds a frame's type by position; every other value may have its widest form.
_WRITTEN: dict[type, tuple[int, struct.Struct]] = {
    UByte: (0x50, struct.Struct("B")),
    UShort: (0x60, struct.Struct(">H")),
    UInt: (0x70, struct.Struct(">I")),
    ULong: (0x80, struct.Struct(">Q")),
    Byte: (0x51, struct.Struct("b")),
    Short: (0x61, struct.Struct(">h")),
    Int: (0x71, struct.Struct(">i")),
    int: (0x81, struct.Struct(">q")),
    Float: (0x72, struct.Struct(">f")),
    float: (0x82, struct.Struct(">d")),
    Char: (0x73, struct.Struct(">I")),
    Timestamp: (0x83, struct.Struct(">q")),
}
_FIXED: dict[int, tuple[struct.Struct, Callable[[Any], Any]]] = {
    **{code: (form, kind) for kind, (code, form) in _WRITTEN.items()},
    0x52: (struct.Struct("B"), UInt),
    0x53: (struct.Struct("B"), ULong),
    0x54: (struct.Struct("b"), Int),
    0x55: (struct.Struct("b"), int),
    0x56: (struct.Struct("B"), bool),
    0x98: (struct.Struct("16s"), lambda raw: uuid.UUID(bytes=raw)),
}
_CONSTANTS = {0x40: None, 0x41: True, 0x42: False, 0x43: UInt(0), 0x44: ULong(0)}
_TEXTS: dict[int, Callable[[bytes], Any]] = {0: bytes, 1: bytes.decode, 3: lambda raw: Symbol(raw.decode("ascii"))}
_MAP = 1


class Reader:
    """Reads values one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    @property
    def ended(self) -> bool:
        return self.at >= len(self.data)

    def value(self) -> Any:
        """The next value; raises DecodeError."""
        try:
            return self._of(self._number(1))
        except (struct.error, KeyError, UnicodeError, RecursionError) as error:
            raise DecodeError(f"not AMQP: {error}") from error

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "big")

    def _take(self, width: int) -> bytes:
        taken = self.data[self.at : self.at + width]
        if len(taken) < width:
            raise DecodeError("the value is cut off")
        self.at += width
        return taken

    def _of(self, code: int) -> Any:
        if code == 0:
            return Described(self.value(), self.value())
        if code in _FIXED:
            form, kind = _FIXED[code]
            return kind(form.unpack(self._take(form.size))[0])
        width = 4 if code >> 4 in (0xB, 0xD, 0xF) else 1
        match code >> 4:
            case 0x4:
                return [] if code == 0x45 else _CONSTANTS[code]
            case 0xA | 0xB:
                return _TEXTS[code & 0xF](self._take(self._number(width)))
            case 0xC | 0xD:
                return self._compound(code & 0xF, width)
            case 0xE | 0xF:
                return self._array(width)
        raise DecodeError(f"there is no type 0x{code:02x}")

    def _compound(self, kind: int, width: int) -> Any:
        self._number(width)
        items = [self.value() for _ in range(self._number(width))]
        return dict(zip(items[::2], items[1::2], strict=True)) if kind == _MAP else items

    def _array(self, width: int) -> list[Any]:
        self._number(width)
        count, code = self._number(width), self._number(1)
        if code == 0:
            self.value()  # what the items are called
            code = self._number(1)
        return [self._of(code) for _ in range(count)]


def encode(value: Any) -> bytes:  # noqa: PLR0911 - one for each kind
    """The bytes of a value."""
    kind = type(value)
    if value is None or kind is bool:
        return b"\x40" if value is None else b"\x41" if value else b"\x42"
    if kind is ULong and value < 256:
        return bytes((0x53, value))
    if kind in _WRITTEN:
        code, form = _WRITTEN[kind]
        return bytes((code,)) + form.pack(value)
    if kind is uuid.UUID:
        return bytes(b"\x98" + value.bytes)
    if kind is Described:
        return b"\0" + encode(value.code) + encode(value.value)
    if kind in (bytes, str, Symbol):
        code, raw = (0xB0, value) if kind is bytes else (0xB3 if kind is Symbol else 0xB1, value.encode())
        return struct.pack(">BI", code, len(raw)) + bytes(raw)
    if kind is Array:
        return _encode_array(value)
    return _encode_compound(value)


def _encode_array(array: Array) -> bytes:
    if array.kind is Symbol:
        code, raw = 0xB3, [encode(Symbol(item))[1:] for item in array.items]
    else:
        code, form = _WRITTEN[array.kind]
        raw = [form.pack(item) for item in array.items]
    body = bytes((code,)) + b"".join(raw)
    return struct.pack(">BII", 0xF0, len(body) + 4, len(raw)) + body


def _encode_compound(value: list[Any] | dict[Any, Any]) -> bytes:
    items = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
    body = b"".join(encode(item) for item in items)
    code = 0xD1 if isinstance(value, dict) else 0xD0
    return struct.pack(">BII", code, len(body) + 4, len(items)) + body


OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
ERROR, SOURCE = 0x1D, 0x28
ACCEPTED, REJECTED, RELEASED, MODIFIED = range(0x24, 0x28)
SASL_MECHANISMS, SASL_INIT, SASL_OUTCOME = 0x40, 0x41, 0x44
HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION, DATA, SEQUENCE, VALUE, FOOTER = range(0x70, 0x79)


class Fields(list[Any]):
    """The fields of a performative; what was left out at the end is null."""

    def get(self, index: int, default: Any = None) -> Any:
        value = self[index] if index < len(self) else None
        return default if value is None else value


def composite(code: int, *fields: Any) -> Described:
    return Described(ULong(code), list(fields))


def fault(condition: str, description: str) -> Described:
    # All three fields: the Python SDK reads the third, and waits for ever in a send() when there is none.
    return composite(ERROR, Symbol(condition), description, None)


def frame(channel: int, performative: Described, payload: bytes = b"", *, sasl: bool = False) -> bytes:
    body = encode(performative) + payload
    return struct.pack(">IBBH", 8 + len(body), 2, sasl, channel) + body
