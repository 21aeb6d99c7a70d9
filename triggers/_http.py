"""What every HTTP function has in common: identify the caller, call the handler, answer JSON or problem+json."""

import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import azure.durable_functions as df
import azure.functions as func
from pydantic import BaseModel, ValidationError

from shared import strict_json
from shared.authorisation import ANYONE
from shared.errors import (
    AppStoreError,
    ConfigurationError,
    IntegrationError,
    PolicyViolationError,
    RequestRejectedError,
    StateConflictError,
    TransientIntegrationError,
)
from shared.identity import Caller, authenticate
from shared.log import LOGGER, redact
from shared.origin import Origin, working_for
from shared.telemetry import logs, spans

logs.install()
blueprint = df.Blueprint()

# Printable ASCII; a proxy may take away spaces at the ends.
HEADER_PATTERN = r"^[!-~]([ -~]{0,198}[!-~])?$"

_REQUEST = re.compile(r"req-[0-9a-f]{12}")
_FAULT = 500
_STATUS = {PolicyViolationError: 422, StateConflictError: 409, ConfigurationError: 503, IntegrationError: 503}
_TITLES = {
    400: "Bad request",
    401: "Who are you?",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Cannot be accepted",
    500: "The App Store failed",
    503: "Not available now",
}


@dataclass(frozen=True)
class Endpoint:
    """A route as the OpenAPI document and the 405 answer know it."""

    name: str
    method: str
    path: str
    summary: str
    body: type[BaseModel] | None
    answers: Mapping[int, type[BaseModel] | str]
    action: str
    headers: tuple[str, ...] = ()

    @property
    def public(self) -> bool:
        """Whether it answers without a caller."""
        return self.action == ANYONE


ENDPOINTS: list[Endpoint] = []


@dataclass(frozen=True)
class Call:
    """One HTTP call, its caller known."""

    caller: Caller
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    client: df.DurableOrchestrationClient
    raw: bytes
    path: str
    span: spans.Span | None = None

    def about(self, request_id: str) -> AbstractContextManager[None]:
        """Let what follows belong to the trace of this request."""
        return spans.about_request(self.span, request_id) if self.span else nullcontext()

    def idempotency_key(self) -> str:
        """The caller's own name of this call, under which a repeat is the same call.

        Raises:
            RequestRejectedError: 400, there is none.
        """
        key = self.headers.get("idempotency-key", "")
        if not re.fullmatch(HEADER_PATTERN, key):
            detail = "Send an Idempotency-Key header of 1 to 200 printable ASCII characters."
            raise RequestRejectedError("idempotency-key-required", detail, status=400)
        return key

    def document(self) -> Any:
        """The body as strictly parsed JSON."""
        return strict_json.parse(self.raw, self.headers.get("content-type"))

    def body[M: BaseModel](self, model: type[M]) -> M:
        """The body as a model.

        Raises:
            RequestRejectedError: 4xx naming the field.
        """
        try:
            return model.model_validate(self.document())
        except ValidationError as error:
            first = error.errors()[0]
            pointer = "".join(f"/{part}" for part in first["loc"])
            reason = first["msg"].removeprefix("Value error, ")
            raise RequestRejectedError("invalid-field", f"{pointer or 'body'}: {reason}.", pointer=pointer) from error


@dataclass(frozen=True)
class Answer:
    """What a handler returns: a JSON document, or text of another type."""

    status: int
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: bytes | None = None
    content_type: str = "application/json"


Handler = Callable[[Call], Awaitable[Answer]]


def endpoint(
    method: str,
    path: str,
    *,
    summary: str,
    answers: Mapping[int, type[BaseModel] | str],
    action: str,
    body: type[BaseModel] | None = None,
    headers: tuple[str, ...] = (),
) -> Callable[[Handler], Handler]:
    """Register a handler as an HTTP function.

    Args:
        method: the one method.
        path: route below ``/api``.
        summary: a sentence for the OpenAPI document.
        answers: success statuses with their model or a description.
        action: what the caller must be allowed to do (``shared/authorisation.py``); ``anyone`` needs no caller.
        body: model of the body.
        headers: required request headers.
    """

    def register(handler: Handler) -> Handler:
        ENDPOINTS.append(Endpoint(handler.__name__, method, path, summary, body, answers, action, headers))

        async def run(req: func.HttpRequest, client) -> func.HttpResponse:  # type: ignore[no-untyped-def] # noqa: ANN001 - the SDK sets the hint
            parent = req.headers.get("traceparent", "")
            origin = working_for(Origin.PERSON)
            with origin, spans.http_call(handler.__name__, method, f"/api/{path}", parent) as span:
                answer = await _serve(handler, req, client, span, public=action == ANYONE)
                span.note({"http.response.status_code": answer.status_code})
                span.error = str(answer.status_code) if answer.status_code >= _FAULT else None
                return answer

        name_and_route(run, handler.__name__, path, [method])
        return handler

    return register


def name_and_route(run: Any, name: str, path: str, methods: list[str] | None) -> None:
    """Register an HTTP function with the durable client bound."""
    run.__name__ = run.__qualname__ = name
    bound = blueprint.durable_client_input(client_name="client")(run)
    routed = blueprint.route(route=path, methods=methods, auth_level=func.AuthLevel.ANONYMOUS)(bound)
    blueprint.function_name(name)(routed)


ANONYMOUS = Caller("", "", "anonymous", frozenset(), frozenset(), (), is_service=True)


async def _serve(
    handler: Handler, req: func.HttpRequest, client: Any, span: spans.Span, *, public: bool
) -> func.HttpResponse:
    headers = {name.lower(): value for name, value in req.headers.items()}
    path = "/" + req.url.split("/", 3)[-1].split("?", 1)[0]
    try:
        caller = ANONYMOUS if public else await authenticate(headers)
        call = Call(caller, req.route_params, req.params, headers, client, req.get_body(), path, span)
        identifier = req.route_params.get("id", "")
        # Whoever only looks adds nothing to the request's trace: a page that asks each second would bury it.
        changes = req.method != "GET" and _REQUEST.fullmatch(identifier)
        with call.about(identifier) if changes else nullcontext():
            answer = await handler(call)
    except AppStoreError as error:
        answer = problem_answer(error, path)
    except Exception:  # noqa: BLE001 - the last frame before the host: a bug is logged and answered
        LOGGER.exception("%s failed unexpectedly", handler.__name__)
        fault = RequestRejectedError("internal", "A fault of the App Store; it has been logged.", status=500)
        answer = problem_answer(fault, path)
    return respond(answer)


def respond(answer: Answer) -> func.HttpResponse:
    """The answer as the Functions type."""
    content = answer.text
    if content is None:
        content = b"" if answer.document is None else json.dumps(answer.document, ensure_ascii=False).encode()
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **answer.headers}
    return func.HttpResponse(content, status_code=answer.status, headers=headers, mimetype=answer.content_type)


def problem_answer(error: AppStoreError, path: str) -> Answer:
    """RFC 9457 problem details of an error."""
    status = error.status if isinstance(error, RequestRejectedError) else _status(error)
    document: dict[str, Any] = {
        "type": f"urn:appstore:problem:{error.code}",
        "title": _TITLES.get(status, "Failed"),
        "status": status,
        "detail": redact(str(error)),
        "instance": path,
    }
    if isinstance(error, RequestRejectedError) and error.pointer is not None:
        document["pointer"] = error.pointer
    if isinstance(error, PolicyViolationError):
        document["rules"] = list(error.rules)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}  # noqa: PLR2004 - HTTP status
    if isinstance(error, TransientIntegrationError) and error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    return Answer(status, document, headers, content_type="application/problem+json")


def _status(error: AppStoreError) -> int:
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
