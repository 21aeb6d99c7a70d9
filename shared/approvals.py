"""Who has to approve a plan, and whether they have."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigurationError
from shared.models import Model
from shared.models.application_request import EnvironmentName
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "approvals" / "default.yaml"

EVERY_OTHER_FINDING = "*"

AppRole = Literal["Requester", "Approver", "FinOps", "Operator", "Auditor", "Admin"]


class ApprovalNeed(Model):
    """One approval that a plan needs.

    Attributes:
        rule: the approval rule it comes from.
        description: the rule in a sentence.
        any_of_roles: app roles, one of which the approver holds.
        any_of_teams: or teams, one of which the approver belongs to.
        count: how many different people.
        decided_in: the system that collects the decision.
        not_by: principals whose decision does not count: the requester.
        findings: ids of the policies' findings that asked for it.
    """

    rule: str
    description: str = ""
    any_of_roles: tuple[str, ...] = ()
    any_of_teams: tuple[str, ...] = ()
    count: int = Field(default=1, ge=1)
    decided_in: Literal["appstore"] = "appstore"
    not_by: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


class Decision(Model):
    """What one person or service principal decided, with the roles and teams of its token."""

    principal: str = Field(min_length=1)
    verdict: Literal["approve", "reject"]
    roles: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()


class _Rule(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    description: str = Field(min_length=1)
    always: bool = False
    findings: tuple[str, ...] = ()
    environments: tuple[EnvironmentName, ...] = ()
    any_of_roles: tuple[AppRole, ...] = ()
    any_of_teams: tuple[str, ...] = ()
    count: int = Field(default=1, ge=1, le=5)
    decided_in: Literal["appstore"] = "appstore"

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if not (self.always or self.findings or self.environments):
            raise ValueError(f"the rule {self.id} never applies")
        if not (self.any_of_roles or self.any_of_teams):
            raise ValueError(f"nobody can answer the rule {self.id}")
        return self


class _Rules(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    rules: tuple[_Rule, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Without these two a plan could need nobody, or a finding could go unapproved."""
        if len({rule.id for rule in self.rules}) != len(self.rules):
            raise ValueError("two rules have the same id")
        if not any(rule.always for rule in self.rules):
            raise ValueError("one rule must apply always")
        if sum(EVERY_OTHER_FINDING in rule.findings for rule in self.rules) != 1:
            raise ValueError('exactly one rule must answer for every other finding ("*")')
        return self


def needed(
    findings: Iterable[str], environments: Iterable[str], requester: str, path: Path = FILE
) -> list[ApprovalNeed]:
    """Tell which approvals a plan needs, in the order of the rules.

    Args:
        findings: ids of the ``require_approval`` verdicts on the request and on every environment's plan.
        environments: environments that the plan makes or changes.
        requester: principal who asked; never counts.
        path: the approval rules.

    Raises:
        ConfigurationError: the rules are not valid.
    """
    rules = _read(path, stamp(path)).rules
    found, stages = set(findings), set(environments)
    named = {finding for rule in rules for finding in rule.findings}
    needs = []
    for rule in rules:
        answered = found & set(rule.findings)
        if EVERY_OTHER_FINDING in rule.findings:
            answered |= found - named
        if rule.always or answered or stages & {str(name) for name in rule.environments}:
            needs.append(_need(rule, requester, tuple(sorted(answered))))
    return needs


def satisfied(needs: Sequence[ApprovalNeed], decisions: Iterable[Decision]) -> list[ApprovalNeed]:
    """Return the needs that are still open; empty means that the plan is approved.

    One person counts for one need only. People are assigned so that as many needs as possible are met (bipartite
    matching by augmenting paths), so the order of the decisions does not matter. Rejections and the requester's own
    decisions count for nothing here; whoever rejected is no longer counted as an approver.
    """
    everyone = list(decisions)
    rejecting = {decision.principal for decision in everyone if decision.verdict == "reject"}
    approvers = {decision.principal: decision for decision in everyone if decision.principal not in rejecting}
    seats = [index for index, need in enumerate(needs) for _ in range(need.count)]
    seating = _Seating(
        {
            seat: [name for name in sorted(approvers) if _may_answer(needs[index], approvers[name])]
            for seat, index in enumerate(seats)
        }
    )
    taken = [seats[seat] for seat in range(len(seats)) if seating.seat(seat)]
    return [need for index, need in enumerate(needs) if taken.count(index) < need.count]


class _Seating:
    """Gives every seat to one of its candidates, and no candidate two seats."""

    def __init__(self, candidates: dict[int, list[str]]) -> None:
        self._candidates = candidates
        self._seat_of: dict[str, int] = {}

    def seat(self, seat: int) -> bool:
        """Fill a seat, if need be by moving others to seats they can take as well; filled seats stay filled."""
        return self._fill(seat, set())

    def _fill(self, seat: int, seen: set[str]) -> bool:
        for name in self._candidates[seat]:
            if name in seen:
                continue
            seen.add(name)
            if name not in self._seat_of or self._fill(self._seat_of[name], seen):
                self._seat_of[name] = seat
                return True
        return False


def _may_answer(need: ApprovalNeed, decision: Decision) -> bool:
    entitled = set(need.any_of_roles) & set(decision.roles) or set(need.any_of_teams) & set(decision.teams)
    return bool(entitled) and decision.principal not in need.not_by


def _need(rule: _Rule, requester: str, findings: tuple[str, ...]) -> ApprovalNeed:
    return ApprovalNeed(
        rule=rule.id,
        description=rule.description,
        any_of_roles=rule.any_of_roles,
        any_of_teams=rule.any_of_teams,
        count=rule.count,
        decided_in=rule.decided_in,
        not_by=(requester,),
        findings=findings,
    )


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> _Rules:
    """Read and check the rules; their stamp is part of the cache's key."""
    try:
        return _Rules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise ConfigurationError(path.name, error.errors()[0]["msg"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(path.name, f"not YAML: {error}") from error
