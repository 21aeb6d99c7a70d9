"""Exceptions: who may do for a while what a rule denies. The rules honour them; this module keeps the file honest."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Any, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.canonical import digest
from shared.errors import ConfigurationError
from shared.models import Model
from shared.rule_catalogue import Rule, RuleId, place_and_reason

FILE = "exceptions.yaml"
EVERYWHERE = "*"

Name = Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9-]{0,62})$")]
Person = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]


class PolicyException(Model):
    """An exception from one rule for one application or team.

    Attributes:
        rule: id of the rule.
        application, team, environment: where it holds; ``*`` is everywhere, but not for application and team at once.
        owner: mail address of who answers for it.
        approved_by: mail address of who allowed it: somebody else.
        reason: why it is needed.
        granted, expires: its first and its last day, in UTC.
    """

    # The fields have the names of the file, so that a mistake is told in the words of who made it.
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid", "alias_generator": None})

    rule: RuleId
    application: Name = EVERYWHERE
    team: Name = EVERYWHERE
    environment: Name = EVERYWHERE
    owner: Person
    approved_by: Person
    reason: str = Field(min_length=10, max_length=500)
    granted: date
    expires: date

    @field_validator("reason")
    @classmethod
    def _readable(cls, reason: str) -> str:
        if not reason.strip() or not reason.replace("\n", " ").isprintable():
            raise ValueError("a reason is text that people can read")
        return " ".join(reason.split())

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.application == self.team == EVERYWHERE:
            raise ValueError("application or team must say for whom")
        if self.approved_by.lower() == self.owner.lower():
            raise ValueError("approved_by must be somebody else than owner")
        if self.expires < self.granted:
            raise ValueError("expires is before granted")
        return self


class _Exceptions(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    exceptions: tuple[PolicyException, ...]


def parse(text: str, rules: Mapping[str, Rule], config: Mapping[str, Any]) -> tuple[PolicyException, ...]:
    """Read the exceptions.

    Args:
        text: the file.
        rules: the catalogue of rules.
        config: the configuration of the rules: longest duration, known environments.

    Raises:
        ConfigurationError: one is malformed, from an unknown or unexceptable rule, or too long; names the field.
    """
    try:
        found = _Exceptions.model_validate(yaml.safe_load(text)).exceptions
    except ValidationError as error:
        raise ConfigurationError(FILE, place_and_reason(error)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(FILE, "not YAML") from error
    for number, exception in enumerate(found):
        wrong = _why_not(exception, rules, config)
        if wrong:
            raise ConfigurationError(FILE, f"exceptions.{number}.{wrong}")
    return found


def _why_not(exception: PolicyException, rules: Mapping[str, Rule], config: Mapping[str, Any]) -> str | None:
    """The field that cannot be, and why; None when all can."""
    rule = rules.get(exception.rule)
    if rule is None:
        return f"rule: there is no rule {exception.rule}"
    if not rule.exceptable:
        return f"rule: {exception.rule} knows no exceptions"
    if exception.environment not in (EVERYWHERE, *config["environment_order"]):
        return f"environment: there is no environment {exception.environment}"
    if rule.package == "request" and exception.environment != EVERYWHERE:
        return f"environment: {exception.rule} is about the request, which is one for all environments"
    longest = config["exceptions"]["max_days"]
    if (exception.expires - exception.granted).days > longest:
        return f"expires: an exception lasts {longest} days at most"
    return None


def in_force(exceptions: Iterable[PolicyException], today: date, application: str, team: str) -> str:
    """Digest of those that concern an application and hold today; empty when none does.

    It moves when one of them begins or ends. The rules (``concerns`` in ``appstore/common.rego``) look at no others.
    """
    current = [
        item.document()
        for item in exceptions
        if item.granted <= today <= item.expires
        and item.application in (EVERYWHERE, application)
        and item.team in (EVERYWHERE, team)
    ]
    return digest(current) if current else ""
