"""Delegations: an approver lets somebody else decide in the own place, until a date."""

import hashlib
from datetime import UTC
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from shared import authorisation
from shared.approvals import DecidingRole
from shared.approvers import DECIDING
from shared.authorisation import DELEGATE, SIGNED_IN
from shared.clients import graph
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.models import Model
from shared.models.application_request import PlainText
from shared.models.delegations import LONGEST_DAYS, Delegation
from shared.models.moment import Moment
from shared.register import delegations
from triggers._http import Answer, Call, endpoint

_READERS = frozenset({"Auditor", "Admin"})


class DelegationBody(Model):
    """Body of a delegation."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    delegate: str = Field(
        pattern=r"^[0-9A-Za-z][0-9A-Za-z._%+@-]{0,253}$", description="Sign-in name or object id of a person."
    )
    roles: list[DecidingRole] | None = Field(
        default=None, max_length=3, description="Roles that are handed over; without it, all that you have."
    )
    teams: list[str] | None = Field(
        default=None, max_length=20, description="Teams that are handed over; without it, all that you are in."
    )
    until: Moment = Field(description=f"End, with its time zone; at most {LONGEST_DAYS} days from now.")
    reason: PlainText = Field(min_length=1, max_length=500, description="Why, for the audit.")


class DelegationList(Model):
    """Delegations from and to the caller; for Auditor and Admin, all."""

    delegations: list[dict[str, Any]]


@endpoint(
    "POST",
    "delegations",
    action=DELEGATE,
    summary="Let somebody decide in your place, until a date.",
    body=DelegationBody,
    answers={201: Delegation},
)
async def create_delegation(call: Call) -> Answer:
    """Hand over own roles and teams, never delegated ones; the same delegation twice is one."""
    authorisation.require(call.caller, DELEGATE)
    body = call.body(DelegationBody)
    roles = _own("roles", body.roles, call.caller.roles & DECIDING)
    teams = _own("teams", body.teams, call.caller.teams)
    person = await graph.find_person(body.delegate)
    if person is None:
        detail = f"There is no person {body.delegate}; a service principal cannot decide."
        raise RequestRejectedError("invalid-field", detail, pointer="/delegate")
    try:
        until = body.until.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        wanted = Delegation(
            id=_identifier(call.caller.id, person.id, roles, teams, until),
            delegator=call.caller.id,
            delegator_name=call.caller.name,
            delegate=person.id,
            delegate_name=person.user_principal_name,
            roles=roles,
            teams=teams,
            reason=body.reason,
            created_at=utc_now(),
            until=until,
        )
    except OverflowError as error:  # in UTC it would be before the first year or after the last
        raise RequestRejectedError("invalid-field", "The end is out of range.", pointer="/until") from error
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        pointer = "/delegate" if person.id == call.caller.id else "/until" if roles else "/roles"
        raise RequestRejectedError("invalid-field", f"{reason[0].upper()}{reason[1:]}.", pointer=pointer) from error
    return Answer(201, (await delegations.create(wanted)).document())


def _own(name: str, wanted: list[Any] | None, have: frozenset[str]) -> list[str]:
    """What is handed over: all that the caller has, or the wanted part of it. Raises RequestRejectedError 403."""
    if wanted is None:
        return sorted(have)
    if foreign := sorted(set(wanted) - have):
        detail = f"You do not have {', '.join(foreign)} yourself."
        raise RequestRejectedError("forbidden", detail, status=403, pointer=f"/{name}")
    return sorted(set(wanted))


def _identifier(*parts: object) -> str:
    return f"del-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"


@endpoint(
    "GET",
    "delegations",
    action=SIGNED_IN,
    summary="Delegations from and to the caller.",
    answers={200: DelegationList},
)
async def list_delegations(call: Call) -> Answer:
    """List delegations, the latest first; those that are over are among them."""
    found = [item for item in await delegations.every() if _sees(call.caller, item)]
    now = utc_now()
    return Answer(200, {"delegations": [{**item.document(), "holds": item.holds(now)} for item in found]})


@endpoint(
    "DELETE",
    "delegations/{id}",
    action=SIGNED_IN,
    summary="Take a delegation back.",
    answers={200: Delegation},
)
async def revoke_delegation(call: Call) -> Answer:
    """Take back what was delegated: who delegated, who was delegated to, or an Admin; it counts at once."""
    identifier = call.params.get("id", "")
    found = next((item for item in await delegations.every() if item.id == identifier), None)
    if found is None or not _sees(call.caller, found):
        raise RequestRejectedError("unknown-delegation", f"There is no delegation {identifier}.", status=404)
    if call.caller.id not in (found.delegator, found.delegate) and "Admin" not in call.caller.roles:
        raise RequestRejectedError("forbidden", "This needs one of the two, or the role Admin.", status=403)
    return Answer(200, (await delegations.revoke(found, call.caller.id)).document())


def _sees(caller: Caller, item: Delegation) -> bool:
    return caller.id in (item.delegator, item.delegate) or bool(caller.roles & _READERS)
