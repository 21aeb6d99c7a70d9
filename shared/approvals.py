"""Who has to approve a plan, and whether they have. Pure: rules are read elsewhere (``shared/approval_rules.py``)."""

from collections.abc import Iterable, Sequence
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from shared.models import Model

DecidingRole = Literal["Approver", "FinOps", "Admin"]
DecidedIn = Literal["appstore", "servicenow"]


class Approvers(Model):
    """People of whom one answers: who holds one of the roles or belongs to one of the teams."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    roles: tuple[DecidingRole, ...] = ()
    teams: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not (self.roles or self.teams):
            raise ValueError("names neither roles nor teams: nobody can answer")
        return self


class ApprovalNeed(Model):
    """One approval that a plan needs.

    Attributes:
        rule: the approval rule it comes from.
        description: the rule in a sentence.
        any_of_roles: app roles, one of which the approver holds.
        any_of_teams: or teams, one of which the approver belongs to.
        count: how many different people.
        all_of: groups of people, each of which gives one approval, instead of ``count`` of any.
        escalate_to: who may answer as well once the need is escalated.
        decided_in: the system that collects the decision. In ServiceNow its own rules say who.
        not_by: principals whose decision does not count: the requester.
        findings: ids of the policies' findings that asked for it.
    """

    rule: str
    description: str = ""
    any_of_roles: tuple[str, ...] = ()
    any_of_teams: tuple[str, ...] = ()
    count: int = Field(default=1, ge=1)
    all_of: tuple[Approvers, ...] = ()
    escalate_to: Approvers | None = None
    decided_in: DecidedIn = "appstore"
    not_by: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


class Decision(Model):
    """What one person decided, with the roles and teams that count for it.

    Attributes:
        principal: who decided.
        on_behalf_of: whose roles and teams these are, when they were delegated.
        decided_in: the system in which it was decided.
    """

    principal: str = Field(min_length=1)
    verdict: Literal["approve", "reject"]
    roles: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    on_behalf_of: str | None = None
    decided_in: DecidedIn = "appstore"


def satisfied(
    needs: Sequence[ApprovalNeed], decisions: Iterable[Decision], *, escalated: bool = False
) -> list[ApprovalNeed]:
    """Return the needs that are still open; empty means that the plan is approved.

    One person counts for one need only. People are assigned so that as many needs as possible are met (bipartite
    matching by augmenting paths), so the order of the decisions does not matter. Who acts for somebody is one person
    with that somebody, however long the chain. Rejections and the requester's own decisions, also those on the
    requester's behalf, count for nothing here; whoever rejected is no longer counted as an approver.

    Args:
        needs: what the plan needs.
        decisions: what was decided about it.
        escalated: whether those to whom the needs escalate may answer as well.
    """
    people = [person for person in _people(decisions) if all(one.verdict == "approve" for one in person)]
    seats = [(index, seat) for index, need in enumerate(needs) for seat in _seats(need, escalated=escalated)]
    seating = _Seating(
        [
            [number for number, person in enumerate(people) if any(_may_sit(needs[index], seat, one) for one in person)]
            for index, seat in seats
        ]
    )
    open_ = {index for number, (index, _) in enumerate(seats) if not seating.seat(number)}
    return [need for index, need in enumerate(needs) if index in open_]


def _people(decisions: Iterable[Decision]) -> list[list[Decision]]:
    """The decisions of each person: delegator and delegate are one."""
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while leaders.setdefault(name, name) != name:
            name = leaders[name]
        return name

    everyone = list(decisions)
    for decision in everyone:
        if decision.on_behalf_of:
            leaders[leader(decision.on_behalf_of)] = leader(decision.principal)
    found: dict[str, list[Decision]] = {}
    for decision in everyone:
        found.setdefault(leader(decision.principal), []).append(decision)
    return [found[name] for name in sorted(found)]


type _Seat = tuple[frozenset[str], frozenset[str]]  # roles and teams, one of which is enough


def _seats(need: ApprovalNeed, *, escalated: bool) -> list[_Seat]:
    """One seat for each approval that the need asks for."""
    widened = need.escalate_to if escalated else None
    roles, teams = (frozenset(widened.roles), frozenset(widened.teams)) if widened else (frozenset(), frozenset())
    if need.all_of:
        return [(roles | frozenset(group.roles), teams | frozenset(group.teams)) for group in need.all_of]
    return [(roles | frozenset(need.any_of_roles), teams | frozenset(need.any_of_teams))] * need.count


def _may_sit(need: ApprovalNeed, seat: _Seat, decision: Decision) -> bool:
    if decision.decided_in != need.decided_in or {decision.principal, decision.on_behalf_of} & set(need.not_by):
        return False
    roles, teams = seat
    return need.decided_in == "servicenow" or bool(roles & set(decision.roles) or teams & set(decision.teams))


class _Seating:
    """Gives every seat to one of its candidates, and no candidate two seats."""

    def __init__(self, candidates: list[list[int]]) -> None:
        self._candidates = candidates
        self._seat_of: dict[int, int] = {}

    def seat(self, seat: int) -> bool:
        """Fill a seat, if need be by moving others to seats they can take as well; filled seats stay filled."""
        return self._fill(seat, set())

    def _fill(self, seat: int, seen: set[int]) -> bool:
        for person in self._candidates[seat]:
            if person in seen:
                continue
            seen.add(person)
            if person not in self._seat_of or self._fill(self._seat_of[person], seen):
                self._seat_of[person] = seat
                return True
        return False
