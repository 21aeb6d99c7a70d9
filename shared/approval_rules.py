"""The approval rules, ``rules/approvals/*.yaml``: when a rule applies, who answers it, and where that is decided."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from shared import archetypes, teams
from shared.approvals import ApprovalNeed, Approvers, DecidedIn
from shared.errors import ConfigurationError
from shared.models import Model
from shared.models.application_request import Criticality, DataClassification, EnvironmentName
from shared.rule_set import RULES, Stamp, load_rules, stamp

FOLDER = RULES / "approvals"

EVERY_OTHER_FINDING = "*"
_FINDING = re.compile(r'"([A-Z]{3}-\d{3})"')


@dataclass(frozen=True)
class Facts:
    """What the rules look at in a request and its plan.

    Attributes:
        environments: environments that the plan makes or changes.
        monthly: price per month, in the currency of the price book.
        destructive: whether the plan deletes or replaces something.
        findings: ids of the ``require_approval`` verdicts on the request and on every environment's plan.
    """

    archetype: str
    environments: frozenset[str]
    classification: str
    criticality: str
    monthly: Decimal
    destructive: bool = False
    findings: frozenset[str] = frozenset()


class _Strict(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})


class _When(_Strict):
    """Conditions that must all hold; of a list, one value is enough."""

    always: bool = False
    archetypes: tuple[str, ...] = ()
    environments: tuple[EnvironmentName, ...] = ()
    classifications: tuple[DataClassification, ...] = ()
    criticalities: tuple[Criticality, ...] = ()
    monthly_above: Decimal | None = Field(default=None, ge=0)
    destructive: bool = False
    findings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _sometimes(self) -> Self:
        conditions = self.model_dump(exclude_defaults=True, exclude={"always"})
        if not (self.always or conditions):
            raise ValueError("without a condition the rule never applies")
        if self.always and conditions:
            raise ValueError("a rule that applies always has no other condition")
        if EVERY_OTHER_FINDING in self.findings and (len(conditions) > 1 or len(self.findings) > 1):
            raise ValueError('findings: "*" stands alone, else a finding could go unapproved')
        return self

    def holds(self, facts: Facts) -> bool:
        """Whether everything but the findings holds."""
        wanted = (
            (self.archetypes, {facts.archetype}),
            (self.environments, facts.environments),
            (self.classifications, {facts.classification}),
            (self.criticalities, {facts.criticality}),
        )
        return (
            all(not values or {str(value) for value in values} & have for values, have in wanted)
            and (self.monthly_above is None or facts.monthly > self.monthly_above)
            and (facts.destructive or not self.destructive)
        )


class _Rule(_Strict):
    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    description: str = Field(min_length=1)
    when: _When
    any_of: Approvers | None = None
    count: int = Field(default=1, ge=1, le=5)
    all_of: tuple[Approvers, ...] = ()
    escalate_to: Approvers | None = None
    decided_in: DecidedIn = "appstore"

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if self.decided_in == "servicenow":
            if self.any_of or self.all_of or self.escalate_to:
                raise ValueError("what is decided in ServiceNow is answered by whom its own rules name")
        elif bool(self.any_of) == bool(self.all_of):
            raise ValueError("either any_of or all_of says who answers")
        if self.all_of and self.count > 1:
            raise ValueError("count goes with any_of: all_of has one of each group")
        return self

    def groups(self) -> Iterator[tuple[str, Approvers]]:
        """Every group of people that the rule names, with its place."""
        yield from ((name, group) for name in ("any_of", "escalate_to") if (group := getattr(self, name)))
        yield from ((f"all_of.{number}", group) for number, group in enumerate(self.all_of))


class _File(_Strict):
    rules: tuple[_Rule, ...] = Field(min_length=1)


def needed(facts: Facts, requester: str, folder: Path = FOLDER) -> list[ApprovalNeed]:
    """Tell which approvals a plan needs, in the order of the files' names and of the rules in them.

    A finding that no applying rule names is answered for by the rule of every other finding, so that none can go
    unapproved.

    Args:
        facts: what the rules look at.
        requester: principal who asked; never counts.
        folder: the approval rules.

    Raises:
        ConfigurationError: the rules are not valid; the text names the field.
    """
    rules = read(folder)
    applying = [rule for rule in rules if rule.when.holds(facts)]
    named = {finding for rule in applying for finding in rule.when.findings}
    needs = []
    for rule in applying:
        answered = facts.findings & set(rule.when.findings)
        if EVERY_OTHER_FINDING in rule.when.findings:
            answered = facts.findings - named
        if answered or not rule.when.findings:
            needs.append(_need(rule, requester, tuple(sorted(answered))))
    return needs


def _need(rule: _Rule, requester: str, findings: tuple[str, ...]) -> ApprovalNeed:
    return ApprovalNeed(
        rule=rule.id,
        description=rule.description,
        any_of_roles=rule.any_of.roles if rule.any_of else (),
        any_of_teams=rule.any_of.teams if rule.any_of else (),
        count=rule.count,
        all_of=rule.all_of,
        escalate_to=rule.escalate_to,
        decided_in=rule.decided_in,
        not_by=(requester,),
        findings=findings,
    )


def read(folder: Path = FOLDER) -> tuple[_Rule, ...]:
    """The rules as they are now, checked in themselves and against catalogue, teams and policies.

    Raises:
        ConfigurationError: naming file and field.
    """
    stamps = tuple(stamp(path) for path in sorted(folder.glob("*.yaml")))
    rules = _rules(folder, stamps)
    known = {
        "archetypes": {archetype.id for archetype in archetypes.catalogue()},
        "findings": {found for _, text in load_rules().policies for found in _FINDING.findall(text)},
    }
    known["findings"].add(EVERY_OTHER_FINDING)
    for rule in rules:
        for name, values in known.items():
            _require_known(f"{rule.id}.when.{name}", getattr(rule.when, name), values)
        for place, group in rule.groups():
            _require_known(f"{rule.id}.{place}.teams", group.teams, set(teams.names()))
    return rules


def _require_known(place: str, values: tuple[str, ...], known: set[str]) -> None:
    if unknown := sorted(set(values) - known):
        raise ConfigurationError(f"approvals/{place}", f"there is no {', '.join(unknown)}")


@lru_cache(maxsize=8)
def _rules(folder: Path, stamps: tuple[Stamp, ...]) -> tuple[_Rule, ...]:
    """Read the files; their stamps are part of the cache's key."""
    rules = tuple(rule for path, *_ in stamps for rule in _file(Path(path)).rules)
    if len({rule.id for rule in rules}) != len(rules):
        raise ConfigurationError(folder.name, "two rules have the same id")
    if not any(rule.when.always for rule in rules):
        raise ConfigurationError(folder.name, "one rule must apply always: else a plan could need nobody")
    if sum(EVERY_OTHER_FINDING in rule.when.findings for rule in rules) != 1:
        raise ConfigurationError(folder.name, 'exactly one rule must answer for every other finding ("*")')
    return rules


def _file(path: Path) -> _File:
    try:
        return _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path.name}: {place}", first["msg"].removeprefix("Value error, ")) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(path.name, f"not YAML: {error}") from error
