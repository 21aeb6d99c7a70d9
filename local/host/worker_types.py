"""Duck-typed FunctionRpc messages: azure-functions-runtime needs the shapes, not protobuf."""

from email.utils import formatdate
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any

from local.host.frames import EMPTY, Value


class Message(SimpleNamespace):
    """Any FunctionRpc message: its fields are its keyword arguments."""


class TypedData:
    """The FunctionRpc union of values; at most one kind is set."""

    def __init__(self, **kinds: Any) -> None:
        self.kind, self.value = next(iter(kinds.items()), EMPTY)

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's name
        return self.kind

    def __getattr__(self, name: str) -> Any:
        if name == self.__dict__.get("kind"):
            return self.__dict__["value"]
        raise AttributeError(name)


class ParameterBinding:
    def __init__(self, name: str, data: TypedData) -> None:
        self.name = name
        self.data = data

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's name
        return "data"


class BindingInfo(Message):
    undefined = 0


for _number, _direction in enumerate(("in", "out", "inout")):
    setattr(BindingInfo, _direction, _number)


class StatusResult(Message):
    Failure, Success, Cancelled = 0, 1, 2


class _SameSite:
    Lax, Strict, ExplicitNone = 1, 2, 3


setattr(_SameSite, "None", 0)


class RpcHttpCookie(Message):
    SameSite = _SameSite


_COOKIE_FIELDS = {name: name for name in ("domain", "path", "secure")} | {"max-age": "max_age", "httponly": "http_only"}
_PLAIN = (
    *("WorkerInitResponse", "WorkerMetadata", "RpcException", "RpcFunctionMetadata", "RpcRetryOptions"),
    *("FunctionMetadataResponse", "FunctionLoadResponse", "InvocationResponse", "RpcHttp", "Timestamp"),
    *("NullableString", "NullableBool", "NullableDouble", "NullableTimestamp"),
)

PROTOS = SimpleNamespace(
    TypedData=TypedData,
    ParameterBinding=ParameterBinding,
    BindingInfo=BindingInfo,
    StatusResult=StatusResult,
    RpcHttpCookie=RpcHttpCookie,
    **{name: type(name, (Message,), {}) for name in _PLAIN},
)


def to_typed(value: Value) -> TypedData:
    """Build what the worker library reads from a frame's value."""
    kind, content = value
    if kind is None:
        return TypedData()
    if kind == "http":
        content = Message(**{**content, "body": to_typed(content["body"])})
    return TypedData(**{kind: content})


def _cookie(cookie: Any) -> str:
    """The Set-Cookie header of an RpcHttpCookie."""
    morsel = SimpleCookie({cookie.name: cookie.value})[cookie.name]
    for attribute, field in _COOKIE_FIELDS.items():
        if (nullable := getattr(cookie, field)) is not None:
            morsel[attribute] = nullable.value
    if cookie.expires is not None:
        morsel["expires"] = formatdate(cookie.expires.value.seconds, usegmt=True)
    morsel["samesite"] = {1: "Lax", 2: "Strict", 3: "None"}.get(cookie.same_site, "")
    return morsel.OutputString()


def from_typed(data: TypedData | None) -> Value:
    """Flatten what the worker library returned for a frame."""
    if data is None or data.kind is None:
        return EMPTY
    if data.kind == "http":
        http = data.value
        return "http", {
            "status": http.status_code,
            "headers": dict(http.headers),
            "body": from_typed(http.body),
            "cookies": [_cookie(cookie) for cookie in http.cookies or []],
        }
    return data.kind, data.value
