"""GitHub's GraphQL API: a document per call.

GitHub answers 200 for a refused document, too: the reasons are in ``errors``, and ``data`` holds what was done.

Documentation: https://docs.github.com/graphql/guides/forming-calls-with-graphql
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from shared.clients._http import Answer, Call, Vendor
from shared.clients._retry_after import retry_after
from shared.errors import (
    ConflictError,
    IntegrationError,
    NotAuthorizedError,
    NotFoundError,
    PermanentIntegrationError,
    TransientIntegrationError,
    VendorCall,
)
from shared.models import Model

# https://docs.github.com/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api: at least a minute
_LIMITED_SECONDS = 60.0
_KINDS: dict[str, Callable[[VendorCall, str], IntegrationError]] = {
    "NOT_FOUND": NotFoundError,
    "FORBIDDEN": NotAuthorizedError,
    "INSUFFICIENT_SCOPES": NotAuthorizedError,
    "UNPROCESSABLE": ConflictError,
    "SERVICE_UNAVAILABLE": TransientIntegrationError,
    "INTERNAL": TransientIntegrationError,
    "": TransientIntegrationError,  # a failure inside GitHub has no type
}


class _Error(Model):
    message: str
    type: str = ""
    path: list[str | int] = []
    extensions: dict[str, Any] = {}


class _Told(Model):
    data: dict[str, Any] | None = None
    errors: list[_Error] = []


async def ask[T](
    vendor: Vendor, operation: str, body: dict[str, Any], shape: type[T], missing: tuple[str, ...] = ()
) -> T:
    """Send a document and read its data as ``shape``.

    Args:
        vendor: GitHub's API under the name of the integration.
        operation: for people, for example ``create project``.
        body: ``query``, one GraphQL operation, and its ``variables``.
        shape: of ``data``.
        missing: members of ``data`` that may be null because there is no such object.

    Raises:
        TransientIntegrationError: a rate limit, a failure inside GitHub, or an answer that is none.
        PermanentIntegrationError: its subclasses say why; parts of the document may have been done.
    """
    call = Call(operation, "POST", "/graphql", body)
    answer = await vendor.call(call)
    told = vendor.shaped(call, answer, _Told)
    for error in told.errors:
        if error.type != "NOT_FOUND" or not error.path or error.path[0] not in missing:
            raise _error_of(VendorCall(vendor.name, operation, answer.status), error, answer)
    return vendor.shaped(call, Answer(answer.status, answer.headers, told.data), shape)


def _error_of(place: VendorCall, error: _Error, answer: Answer) -> IntegrationError:
    """The exception that an entry of ``errors`` stands for."""
    detail = error.message[:300]
    if error.type == "RATE_LIMITED" or "rate limit" in detail.lower():
        wait = retry_after(answer.headers, datetime.now(UTC))
        return TransientIntegrationError(place, detail, _LIMITED_SECONDS if wait is None else wait)
    if error.extensions:  # the document itself is wrong
        return PermanentIntegrationError(place, detail)
    return _KINDS.get(error.type, PermanentIntegrationError)(place, detail)
