"""The way to Azure Resource Manager: one identity, and one budget of calls for all processes of the App Store.

Documentation: https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
"""

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import httpx

from shared.clients._arm_budget import Budget, PausedError
from shared.clients._http import LONGEST_WAIT, Answer, Call, Vendor, azure_headers
from shared.clients._retry_after import retry_after
from shared.errors import TransientIntegrationError, VendorCall
from shared.models.token_bucket import EVERYTHING, LIMITS
from shared.origin import for_a_person
from shared.per_loop import per_loop
from shared.register import arm_budgets

BASE = "https://management.azure.com"
NAME = "azure resource manager"
_LONGEST_QUEUE = 120.0
_SUBSCRIPTION = re.compile(r"^/subscriptions/([^/?]+)", re.IGNORECASE)
_PROVIDER = re.compile(r"/providers/([^/?]+)", re.IGNORECASE)
_KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


async def _authorise() -> dict[str, str]:
    return await azure_headers(f"{BASE}/.default")


@dataclass(frozen=True)
class Place:
    """What a call counts against."""

    subscription: str
    kind: str
    provider: str


def place_of(method: str, path: str) -> Place | None:
    """What a call counts against; None outside of subscriptions.

    A 429 of one resource provider, the last one in the path, says nothing of the others.
    """
    subscription = _SUBSCRIPTION.match(path)
    if subscription is None:
        return None
    providers = _PROVIDER.findall(path)
    provider = str(providers[-1]).lower() if providers else "microsoft.resources"
    return Place(subscription.group(1).lower(), _KINDS.get(method, "writes"), provider)


@per_loop
def _budgets() -> dict[tuple[str, str], Budget]:
    return {}


def _budget(place: Place) -> Budget:
    key = (place.subscription, place.kind)
    budgets = _budgets()
    if key not in budgets:
        budgets[key] = Budget(LIMITS[place.kind], partial(arm_budgets.change, *key), LONGEST_WAIT)
    return budgets[key]


class SharedBudget:
    """What every call to Azure Resource Manager passes."""

    async def admit(self, integration: str, call: Call) -> None:
        """Wait for the call's turn; persons come before sweeps.

        Raises:
            TransientIntegrationError: Azure wants no calls for longer than a client waits, or too many wait already.
        """
        place = place_of(call.method, call.path)
        if place is None:
            return
        try:
            async with asyncio.timeout(_LONGEST_QUEUE):
                await _budget(place).admit(place.provider, person=for_a_person())
        except PausedError as error:
            where = VendorCall(integration, call.operation, httpx.codes.TOO_MANY_REQUESTS)
            raise TransientIntegrationError(where, "Azure asked for a pause", error.wait) from error
        except TimeoutError as error:
            detail = f"more {place.kind} wait than the subscription allows"
            raise TransientIntegrationError(VendorCall(integration, call.operation), detail, _LONGEST_QUEUE) from error

    async def heard(self, call: Call, response: httpx.Response, seconds: float) -> None:
        """Go by what an answer says of the budget: calls that are left, or a pause."""
        place = place_of(call.method, call.path)
        if place is None:
            return
        left = response.headers.get(f"x-ms-ratelimit-remaining-subscription-{place.kind}", "")
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            wait = retry_after(response.headers, datetime.now(UTC)) or 0.0
            await _budget(place).throttled(EVERYTHING if _by_arm(response) else place.provider, wait)
        elif left.isdigit():
            await _budget(place).remaining(float(left), time.time() - seconds)


def _by_arm(response: httpx.Response) -> bool:
    """Whether Azure Resource Manager itself refused, not one of the resource providers behind it."""
    body = Answer(response.status_code, response.headers, raw=response.content).body
    error = body.get("error") if isinstance(body, dict) else None
    return isinstance(error, dict) and str(error.get("code", "")).endswith("RequestsThrottled")


def arm(integration: str = NAME, *, traced: bool = True) -> Vendor:
    """Azure Resource Manager under the name of an integration."""
    return Vendor(integration, BASE, _authorise, traced=traced, budget=SharedBudget())
