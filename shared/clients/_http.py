"""The only way out over HTTP: timeouts, retries, error types, and the rule that 2xx alone is no success."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.clients._retry_after import retry_after
from shared.clock import utc_now
from shared.credential import access_token
from shared.errors import (
    ConflictError,
    IntegrationError,
    NotAuthorizedError,
    NotFoundError,
    PermanentIntegrationError,
    TransientIntegrationError,
    VendorCall,
)
from shared.log import redact
from shared.per_loop import per_loop
from shared.settings import USER_AGENT
from shared.telemetry import spans

TRIES = 3
LONGEST_WAIT = 20.0
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_SAFE_TO_REPEAT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_REFUSED = frozenset({403, 429})

Headers = Callable[[], Awaitable[dict[str, str]]]


@dataclass
class Health:
    """How a vendor has been doing: shown by ``GET /api/health``."""

    last_success: str | None = None
    last_failure: str | None = None
    latency_ms: int | None = None


@dataclass(frozen=True)
class Answer:
    """A vendor's answer.

    Attributes:
        status: HTTP status.
        headers: lower-case names.
        part: instead of the whole content, what a caller took out of it.
        raw: the content as it came.
    """

    status: int
    headers: Mapping[str, str]
    part: Any = None
    raw: bytes = b""

    @cached_property
    def body(self) -> Any:
        """Parsed JSON, else text; None when there is no content."""
        return _parsed(self.raw) if self.raw else self.part


@dataclass(frozen=True)
class Call:
    """One call in the vendor's words.

    Attributes:
        operation: for people, for example ``create repository``.
        form: fields of a form, instead of a JSON body.
        expect: statuses that mean success or are handled by the caller.
        once: its method may be repeated, but this call may not: each time something is added.
    """

    operation: str
    method: str
    path: str
    body: Any = None
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    expect: tuple[int, ...] = (200,)
    once: bool = False


class Page(Protocol):
    """A part of a collection."""

    @property
    def next_link(self) -> str | None:
        """URL of the part that follows; None or empty in the last one."""
        ...


class Budget(Protocol):
    """What a vendor allows, shared by all who call it."""

    async def admit(self, integration: str, call: Call) -> None:
        """Wait until the call may be made."""
        ...

    async def heard(self, call: Call, response: httpx.Response, seconds: float) -> None:
        """Learn from an answer, so many seconds after the call."""
        ...


@per_loop
def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=httpx.Timeout(30.0, connect=10.0), follow_redirects=False, headers={"User-Agent": USER_AGENT}
    )


@per_loop
def health() -> dict[str, Health]:
    """How each vendor has been doing since this worker started."""
    return {}


async def azure_headers(scope: str) -> dict[str, str]:
    """Authorisation of a call by the app's own identity."""
    return {"Authorization": f"Bearer {await access_token(scope)}"}


@dataclass(frozen=True)
class Vendor:
    """A vendor's API.

    Attributes:
        name: integration name in errors and in the health report.
        base_url: scheme and host, no trailing slash.
        authorise: makes the authorisation headers of a call.
        traced: whether it takes part in W3C Trace Context, so that its own spans join the request's trace.
        budget: what every call passes and every answer tells.
    """

    name: str
    base_url: str
    authorise: Headers
    traced: bool = False
    budget: Budget | None = None

    async def call(self, call: Call) -> Answer:
        """Make a call, repeating it while that is safe and promising.

        Raises:
            TransientIntegrationError: worth trying again later.
            PermanentIntegrationError: its subclasses say why.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return await self._once(call, attempt)
            except TransientIntegrationError as error:
                wait = wait_before_retry("POST" if call.once else call.method, error, attempt)
                if wait is None:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    async def read[T](self, call: Call, shape: type[T]) -> T:
        """Make a call and demand the answer's shape: an HTML page or ``{}`` is a failure, whatever its status.

        Raises:
            TransientIntegrationError: the answer is not what the vendor documents.
        """
        return self.shaped(call, await self.call(call), shape)

    async def pages[P: Page](self, call: Call, shape: type[P]) -> AsyncIterator[P]:
        """Read a collection part by part to its end. Our credentials follow to no other place than the vendor's.

        Raises:
            TransientIntegrationError: the answer is not what the vendor documents.
            PermanentIntegrationError: the next part is elsewhere, or is the same one again.
        """
        asked, where = call, f"{self.base_url}{call.path}"
        while True:
            page = await self.read(asked, shape)
            yield page
            if not page.next_link:  # Azure says the end as null, as nothing, and as an empty text
                return
            if not page.next_link.startswith(f"{self.base_url}/") or page.next_link == where:
                raise PermanentIntegrationError(VendorCall(self.name, call.operation), "the next page is elsewhere")
            where = page.next_link
            asked = replace(call, path=where.removeprefix(self.base_url), params=None)

    def shaped[T](self, call: Call, answer: Answer, shape: type[T]) -> T:
        """The answer's body as ``shape``; raises as ``read``."""
        try:
            if answer.raw.startswith(b"{") and isinstance(shape, type) and issubclass(shape, BaseModel):
                return shape.model_validate_json(answer.raw)  # a big listing in half the time
            return TypeAdapter(shape).validate_python(answer.body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            detail = f"the answer is not what the vendor documents: {where}: {first['msg']}"
            raise TransientIntegrationError(VendorCall(self.name, call.operation, answer.status), detail) from error

    async def _once(self, call: Call, attempt: int) -> Answer:
        if self.budget:
            await self.budget.admit(self.name, call)
        began = time.monotonic()
        host = httpx.URL(self.base_url).host
        with spans.vendor_call(self.name, call.operation, method=call.method, host=host, tries=attempt) as span:
            try:
                answer = await self._send(call, span)
            except IntegrationError:
                self._health().last_failure = utc_now()
                raise
        state = self._health()
        state.last_success, state.latency_ms = utc_now(), round((time.monotonic() - began) * 1000)
        return answer

    async def _send(self, call: Call, span: spans.VendorSpan) -> Answer:
        headers = {**await self.authorise(), **call.headers, **(span.traceparent if self.traced else {})}
        sent = time.monotonic()
        try:
            response = await _client().request(
                call.method,
                self.base_url + call.path,
                json=call.body,
                data=call.form,
                params=call.params,
                headers=headers,
            )
        except httpx.HTTPError as error:
            place = VendorCall(self.name, call.operation)
            raise TransientIntegrationError(place, type(error).__name__) from error
        span.answered(response.status_code, _vendor_request_id(response))
        if self.budget:
            await self.budget.heard(call, response, time.monotonic() - sent)
        if response.status_code in call.expect:
            return Answer(response.status_code, response.headers, raw=response.content)
        raise error_of(self.name, call, response)

    def _health(self) -> Health:
        return health().setdefault(self.name, Health())


def wait_before_retry(method: str, error: TransientIntegrationError, attempt: int) -> float | None:
    """Seconds until the next try, or None when there must be none.

    A POST or PATCH is repeated only when the vendor refused to work on it (rate limit): after a timeout, a 500 or a 503
    it may have been done, and only the caller can look for its result.
    """
    if attempt >= TRIES:
        return None
    if method not in _SAFE_TO_REPEAT and error.call.status_code not in _REFUSED:
        return None
    wait = error.retry_after if error.retry_after is not None else 0.5 * 2.0**attempt
    return wait if wait <= LONGEST_WAIT else None


def error_of(integration: str, call: Call, response: httpx.Response) -> IntegrationError:
    """The error that an unexpected answer stands for."""
    place = VendorCall(integration, call.operation, response.status_code, _vendor_request_id(response))
    detail = _detail(response)
    wait = retry_after(response.headers, datetime.now(UTC))
    status = response.status_code
    if status in _TRANSIENT or (status == httpx.codes.FORBIDDEN and wait is not None):
        return TransientIntegrationError(place, detail, wait)
    if status in (401, 403):
        return NotAuthorizedError(place, detail)
    if status in (404, 410):
        return NotFoundError(place, detail)
    if status in (409, 412, 422):
        return ConflictError(place, detail)
    if status < httpx.codes.BAD_REQUEST:
        return TransientIntegrationError(place, f"the answer is not what the vendor documents: {detail}", wait)
    return PermanentIntegrationError(place, detail)


def _vendor_request_id(response: httpx.Response) -> str | None:
    headers: Mapping[str, str] = response.headers
    return headers.get("x-github-request-id") or headers.get("x-ms-request-id")


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")


def _detail(response: httpx.Response) -> str:
    """The vendor's own words, short and without secrets."""
    body = Answer(response.status_code, response.headers, raw=response.content).body
    if isinstance(body, dict):
        inner = body.get("error")
        error = inner if isinstance(inner, dict) else body
        code, message = error.get("code") or error.get("status") or error.get("name"), error.get("message")
        reasons = [str(item.get("message")) for item in body.get("errors", []) if isinstance(item, dict)]
        text = ": ".join(str(part) for part in (code, message, *reasons) if part and part != "None")
    else:
        text = response.headers.get("x-ms-error-code") or response.headers.get("content-type", "no body")
    return redact(text[:300]) or "no reason given"
