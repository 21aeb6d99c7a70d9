"""How bad a difference is, what may be done about it, and what is left as it is (``rules/drift.yaml``)."""

from datetime import date
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ConfigDict, Field, ValidationError

from shared.errors import ConfigurationError
from shared.exceptions import Person
from shared.models import Model
from shared.models.drift import DriftClass, Severity
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "drift.yaml"


class _Part(Model):
    # The fields have the names of the file, so that a mistake is told in the words of who made it.
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid", "alias_generator": None})


class Grade(_Part):
    """Severity and class of a difference."""

    severity: Severity
    drift_class: DriftClass = Field(alias="class")


class AttributeRule(Grade):
    """The grade of the attributes that fit."""

    type: str
    path: str


class Harmless(_Part):
    """Differences without a meaning."""

    type: str
    path: str
    reason: str = Field(min_length=5)


class Ignored(_Part):
    """A difference that is left as it is until a day."""

    application: str
    environment: str
    address: str
    attribute: str
    owner: Person
    reason: str = Field(min_length=10, max_length=500)
    expires: date

    def about(self, application: str, environment: str) -> bool:
        """Whether it is about this environment."""
        return fnmatchcase(application, self.application) and fnmatchcase(environment, self.environment)

    def covers(self, address: str, attribute: str) -> bool:
        """Whether it is about this attribute; square brackets of addresses are no patterns."""
        return _fits(address, self.address) and _fits(attribute, self.attribute)


class DriftRules(_Part):
    """The whole file."""

    default: Grade
    missing: Grade
    attributes: list[AttributeRule]
    harmless: list[Harmless]
    ignore: list[Ignored]

    def named(self, kind: str, path: str) -> Grade | None:
        """The grade of an attribute that a line names; None when none does."""
        return next((rule for rule in self.attributes if _fits(kind, rule.type) and _fits(path, rule.path)), None)

    def is_harmless(self, kind: str, path: str) -> bool:
        """Whether a difference there has no meaning."""
        return any(_fits(kind, rule.type) and _fits(path, rule.path) for rule in self.harmless)


def _fits(text: str, pattern: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def drift_rules(path: Path | None = None) -> DriftRules:
    """The rules as the file is now.

    Raises:
        ConfigurationError: the file is missing or malformed; names the field.
    """
    file = path or FILE
    return _read(file, stamp(file))


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> DriftRules:
    try:
        return DriftRules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(path.name, f"not the rules of drift: {error}") from error
