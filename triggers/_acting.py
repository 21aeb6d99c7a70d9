"""In whose authority somebody decides: the own one, or one that was delegated."""

from dataclasses import dataclass, replace

from shared import approvers
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.models.records import RequestRecord
from shared.register import delegations


@dataclass(frozen=True)
class Authority:
    """Who decides, with the roles and teams that count.

    Attributes:
        caller: the person who calls, with the authority that is used instead of the own one.
        on_behalf_of: object id of the person whose authority it is; None for the own.
    """

    caller: Caller
    on_behalf_of: str | None = None
    on_behalf_of_name: str | None = None


async def authority(caller: Caller, on_behalf_of: str | None, record: RequestRecord) -> Authority:
    """The authority that the caller uses for this request.

    What was delegated counts as far as the delegator has it today: somebody who has left has nothing to hand over. The
    requester's authority counts as little in other hands as in the requester's own.

    Raises:
        RequestRejectedError: 403, nothing was delegated, or by the requester.
        IntegrationError: Microsoft Graph cannot say what the delegator may do.
    """
    if on_behalf_of is None:
        return Authority(caller)
    pointer = "/onBehalfOf"
    if on_behalf_of == record.requester:
        raise RequestRejectedError(
            "forbidden",
            "The requester's authority does not count, also not in other hands.",
            status=403,
            pointer=pointer,
        )
    now = utc_now()
    held = [item for item in await delegations.to(caller.id) if item.delegator == on_behalf_of and item.holds(now)]
    if not held:
        raise RequestRejectedError(
            "forbidden", "That person has not delegated to you now.", status=403, pointer=pointer
        )
    roles, teams = await approvers.authority_of(on_behalf_of)
    acting = replace(
        caller,
        roles=frozenset(role for item in held for role in item.roles) & roles,
        teams=frozenset(team for item in held for team in item.teams) & teams,
    )
    return Authority(acting, on_behalf_of, held[0].delegator_name)
