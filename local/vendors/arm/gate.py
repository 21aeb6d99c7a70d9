"""What every call passes first: token, api-version, throttling.

https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
"""

import re
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from local.vendors.kernel import Kernel, Store

from .errors import ArmError, bad_request

AUDIENCES = frozenset(
    f"https://management.{domain}{end}" for domain in ("azure.com", "core.windows.net") for end in ("", "/")
)
API_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview|-privatepreview)?")
KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}
LIMITS = {"reads": (250.0, 25.0), "writes": (200.0, 10.0), "deletes": (200.0, 10.0)}  # capacity, refill a second
GLOBAL_FACTOR = 15


@dataclass
class Bucket:
    """A token bucket: full at first, refilled as time passes."""

    capacity: float
    refill: float
    level: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.level, self.at = self.capacity, time.monotonic()

    def take(self) -> float:
        """Take a token and return 0, or the seconds until there is one."""
        now = time.monotonic()
        self.level = min(self.capacity, self.level + (now - self.at) * self.refill)
        self.at = now
        if self.level < 1:
            return (1 - self.level) / self.refill
        self.level -= 1
        return 0.0


class Gate:
    def __init__(self, kernel: Kernel, store: Store) -> None:
        self._kernel = kernel
        self._store = store
        self._buckets: dict[tuple[str, ...], Bucket] = {}

    def admit(self, request: web.Request, subscription: str) -> dict[str, str]:
        """Let a call in; the throttling headers of its answer.

        Raises:
            ArmError: 401 without a token for ARM, 400 without api-version, 429 when the bucket is empty.
        """
        principal = self._authenticate(request)
        version = request.query.get("api-version")
        if version is None:
            raise bad_request(
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        if not API_VERSION.fullmatch(version):
            raise bad_request("InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
        return self._throttle(KINDS.get(request.method, "writes"), subscription, principal)

    def _authenticate(self, request: web.Request) -> str:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
        try:
            claims: dict[str, Any] = self._kernel.vendor("entra").verify(token)
        except ValueError as error:
            raise _unauthorized("InvalidAuthenticationToken", f"The access token is invalid: {error}.") from error
        if claims.get("aud") not in AUDIENCES:
            raise _unauthorized(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{claims.get('aud')}'. It should "
                f"exactly match with one of the allowed audiences {', '.join(sorted(AUDIENCES))}.",
            )
        return str(claims.get("oid") or claims.get("sub"))

    def _throttle(self, kind: str, subscription: str, principal: str) -> dict[str, str]:
        capacity, refill = (self._store.get("settings/throttle") or {}).get(kind, LIMITS[kind])
        own = self._bucket(capacity, refill, kind, subscription, principal)
        everyone = self._bucket(capacity * GLOBAL_FACTOR, refill * GLOBAL_FACTOR, kind, subscription)
        wait = max(own.take(), everyone.take())
        if wait:
            seconds = str(max(1, round(wait + 0.5)))
            raise ArmError(
                429,
                "SubscriptionRequestsThrottled",
                f"Number of {kind} requests for subscription '{subscription}' and principal '{principal}' exceeded the "
                f"limit. Please try again after '{seconds}' seconds.",
                {"Retry-After": seconds},
            )
        name = "x-ms-ratelimit-remaining-subscription"
        return {f"{name}-{kind}": str(int(own.level)), f"{name}-global-{kind}": str(int(everyone.level))}

    def _bucket(self, capacity: float, refill: float, *key: str) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None or (bucket.capacity, bucket.refill) != (capacity, refill):
            bucket = self._buckets[key] = Bucket(capacity, refill)
        return bucket


def _unauthorized(code: str, message: str) -> ArmError:
    challenge = (
        f'Bearer authorization_uri="https://login.windows.net/", error="invalid_token", error_description="{code}"'
    )
    return ArmError(401, code, message, {"WWW-Authenticate": challenge})
