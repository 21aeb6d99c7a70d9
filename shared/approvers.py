"""Who could decide: asked of Microsoft Graph before a request is taken in, and before delegated authority is used.

Roles come from the app role assignments of this application, to people and to groups. Entra ID gives an app role to the
direct members of a group only, while the groups of a token contain the nested ones: both is asked for as it counts.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

from shared import approvals
from shared.approvals import ApprovalNeed, DecidingRole, Decision
from shared.clients import graph, servicenow
from shared.clients.entra import EntraSettings
from shared.errors import ConfigurationError, IntegrationError
from shared.log import LOGGER
from shared.per_loop import per_loop
from shared.settings import load
from shared.teams import all_groups, find, names_of

DECIDING = frozenset(get_args(DecidingRole))
_KEEP_SECONDS = 60.0


@dataclass(frozen=True)
class Eligible:
    """Whether people exist who can meet the needs.

    Attributes:
        lacking: needs that nobody but the requester could meet, or not enough people.
        unknown: why nobody knows; None when it was checked.
    """

    lacking: tuple[ApprovalNeed, ...] = ()
    unknown: str | None = None

    @property
    def nobody(self) -> str | None:
        """Which rules nobody could answer and what to do about it, in sentences; None when all can be answered."""
        if not self.lacking:
            return None
        rules = "; ".join(f"{need.rule} ({need.description.rstrip('.')})" for need in self.lacking)
        roles = sorted({name for need in self.lacking for name in _named(need)})
        return (
            f"Apart from the requester, not enough people could approve by the rule {rules}. "
            f"Give {' or '.join(roles)} to somebody else whose account is enabled."
        )


def _named(need: ApprovalNeed) -> list[str]:
    """The roles and teams that a need asks for, in words."""
    roles = {*need.any_of_roles, *(role for group in need.all_of for role in group.roles)}
    teams = {*need.any_of_teams, *(team for group in need.all_of for team in group.teams)}
    return [f"the role {role}" for role in roles] + [f"membership in {team}" for team in teams]


@dataclass
class _Kept:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    good_until: float = 0.0


@per_loop
def _kept() -> _Kept:
    return _Kept()


async def eligible(needs: Sequence[ApprovalNeed]) -> Eligible:
    """Whether enough different people exist, apart from the requester. What is decided in ServiceNow is its business.

    When Graph does not answer or we may not ask it, nobody is kept from ordering: an undecided plan expires.
    """
    ours = [need for need in needs if need.decided_in == "appstore"]
    try:
        people = await _people(ours)
    except IntegrationError as error:
        LOGGER.warning("nobody knows who could approve: %s", error)
        return Eligible(unknown=str(error))
    return Eligible(tuple(approvals.satisfied(ours, people)))


def require_decidable(needs: Sequence[ApprovalNeed], systems: Sequence[str]) -> None:
    """Demand that every need can be decided where its rule says.

    Raises:
        ConfigurationError: a rule is decided in ServiceNow, which is not used, or which approves by template.
    """
    for need in needs:
        if need.decided_in == "appstore":
            continue
        if "servicenow" not in systems:
            raise ConfigurationError("SERVICENOW_INSTANCE", f"the approval rule {need.rule} is decided in ServiceNow")
        if servicenow.approved_beforehand():
            raise ConfigurationError(
                "SERVICENOW_CHANGE_TEMPLATE",
                f"nobody decides a standard change, and the rule {need.rule} needs somebody",
            )


async def authority_of(person: str) -> tuple[frozenset[str], frozenset[str]]:
    """Deciding roles and teams that somebody has at this moment.

    Raises:
        IntegrationError: Graph does not answer, or our identity may not ask.
    """
    roles, groups = await asyncio.gather(_ask(), graph.check_member_groups(person, all_groups()))
    return frozenset(role for role, holders in roles.items() if person in holders), frozenset(names_of(groups))


async def _people(needs: Sequence[ApprovalNeed]) -> list[Decision]:
    """Everybody who may decide at all, as if all of them approved."""
    seats = [seat for need in needs for seat in need.all_of]
    named = {team for need in needs for team in need.any_of_teams} | {team for seat in seats for team in seat.teams}
    teams = sorted(named)
    roles = await _roles()
    members = await asyncio.gather(*(graph.people_in(find(team).entra_group_id, nested=True) for team in teams))
    belonging = dict(zip(teams, map(frozenset, members), strict=True))
    return [
        Decision(
            principal=person,
            verdict="approve",
            roles=tuple(role for role, holders in roles.items() if person in holders),
            teams=tuple(team for team, there in belonging.items() if person in there),
        )
        for person in sorted(frozenset().union(*roles.values()))
    ]


async def _roles() -> dict[str, frozenset[str]]:
    """The people who hold each deciding role, at most a minute old."""
    kept = _kept()
    async with kept.lock:
        if time.monotonic() >= kept.good_until:
            kept.roles = await _ask()
            kept.good_until = time.monotonic() + _KEEP_SECONDS
    return kept.roles


async def _ask() -> dict[str, frozenset[str]]:
    """The people with an enabled account who hold each deciding role, themselves or through a group."""
    assigned = await graph.app_role_holders(load(EntraSettings).audience)
    found = {role: assigned.get(role, []) for role in sorted(DECIDING)}
    given = [holder for holders in found.values() for holder in holders]
    groups, direct = (
        sorted({holder for kind, holder in given if kind == wanted}) for wanted in (graph.GROUP, graph.USER)
    )
    people, *inside = await asyncio.gather(
        graph.enabled(direct), *(graph.people_in(group, nested=False) for group in groups)
    )
    members = dict(zip(groups, inside, strict=True)) | {person: [person] for person in people}
    return {
        role: frozenset(person for _, holder in holders for person in members.get(holder, []))
        for role, holders in found.items()
    }
