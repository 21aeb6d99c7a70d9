"""Duck-typed FunctionRpc messages: azure-functions-runtime needs the shapes, not protobuf."""

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


def _cookie(cookie: Any) -> dict[str, Any]:
    def field(name: str) -> Any:
        holder = getattr(cookie, name, None)
        return next(iter(vars(holder).values()), None) if isinstance(holder, Message) else holder

    names = ("name", "value", "domain", "path", "secure", "http_only", "max_age", "same_site")
    return {name: field(name) for name in names}


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
