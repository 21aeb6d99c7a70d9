"""What a request takes of its team's quota and of the room in the landing zones: both, or nothing."""

from collections.abc import Iterable
from decimal import Decimal

from shared import landing_zones, quotas
from shared.errors import RequestRejectedError, StateConflictError
from shared.prices import Estimate
from shared.quotas import Use
from shared.register import reservations
from shared.register.reservations import REQUEST, ZONES


async def take(request_id: str, team: str, estimate: Estimate, zones: Iterable[str], *, holder: str = REQUEST) -> None:
    """Take the request's share of the team's quota and its place in the landing zones, for an attempt or for itself.

    Taken again for the request itself, both become what they are now: a place in another landing zone replaces the
    first one. A failed attempt holds nothing afterwards; the request keeps what it has.

    Raises:
        RequestRejectedError: 409, there is not so much left; names the remedy.
    """
    quota, names = quotas.find(team), list(zones)
    try:
        await reservations.reserve(
            team, request_id, quotas.use_of(estimate), lambda used, more: quotas.exceeded(quota, used, more), holder
        )
    except StateConflictError as error:
        detail = (
            f"The quota of {team} is used up: {error}. Undo an application that is not needed, or ask the platform."
        )
        raise RequestRejectedError("quota-exceeded", detail, status=409, pointer="/ownerTeam") from error
    place = Use(items=dict.fromkeys(names, Decimal(1)))
    try:
        await reservations.reserve(
            ZONES, request_id, place, lambda used, more: landing_zones.full(used.items, more.items), holder
        )
    except StateConflictError as error:
        if holder != REQUEST:
            await let_go(request_id, team, holder)
        detail = f"There is no room: {error}. Ask the platform for more, or choose another region."
        raise RequestRejectedError("landing-zone-full", detail, status=409, pointer="/region") from error


async def let_go(request_id: str, team: str, holder: str | None = None) -> None:
    """Give up what one attempt holds, or with ``None`` all attempts; what the request itself holds stays."""
    for name in (ZONES, team):
        await reservations.let_go(name, request_id, holder)


async def give_back(request_id: str, team: str) -> None:
    """Give back all that a request took, for good; a repeat changes nothing."""
    for name in (ZONES, team):
        await reservations.close(name, request_id)
