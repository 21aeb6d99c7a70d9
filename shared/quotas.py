"""How much a team may have at the same time: applications, price per month, and units of what is expensive."""

from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ConfigDict, Field, ValidationError

from shared.errors import ConfigurationError
from shared.models import Model
from shared.prices import Estimate
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "quotas.yaml"


class Quota(Model):
    """What a team may have.

    Attributes:
        applications: number of applications, requested or existing.
        monthly: estimated price of all of them per month, in the currency of the price book.
        items: units by price item; what is not listed is not limited.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    applications: int = Field(ge=0)
    monthly: Decimal = Field(ge=0)
    items: dict[str, int] = {}


class Use(Model):
    """What one request, or a team as a whole, uses of a quota. ``monthly`` is decimal text, units are whole or not."""

    applications: int = 0
    monthly: Decimal = Decimal(0)
    items: dict[str, Decimal] = {}

    def plus(self, other: "Use", sign: int = 1) -> "Use":
        """The sum, or with ``sign=-1`` the difference; items that are used up disappear."""
        items = dict(self.items)
        for key, units in other.items.items():
            items[key] = items.get(key, Decimal(0)) + sign * units
        return Use(
            applications=self.applications + sign * other.applications,
            monthly=self.monthly + sign * other.monthly,
            items={key: units for key, units in sorted(items.items()) if units},
        )

    def beyond(self, other: "Use") -> "Use":
        """What this is more than another, each by itself; what is less counts as nothing."""
        more = self.plus(other, sign=-1)
        return Use(
            applications=max(0, more.applications),
            monthly=max(Decimal(0), more.monthly),
            items={key: units for key, units in more.items.items() if units > 0},
        )


class _Quotas(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    default: Quota
    teams: dict[str, Quota] = {}


def find(team: str, path: Path = FILE) -> Quota:
    """The quota of a team. Raises ConfigurationError when the file is not valid."""
    quotas = _read(path, stamp(path))
    return quotas.teams.get(team, quotas.default)


def use_of(estimate: Estimate) -> Use:
    """What a request uses, by its estimate."""
    items: dict[str, Decimal] = {}
    for line in estimate.lines:
        items[line.key] = items.get(line.key, Decimal(0)) + Decimal(line.quantity)
    return Use(applications=1, monthly=Decimal(estimate.monthly), items=items)


def exceeded(quota: Quota, used: Use, more: Use) -> list[str]:
    """Sentences about each limit that would be passed; empty when it fits.

    A limit that is passed already (it was lowered) is not named when the request adds nothing to it.
    """
    after = used.plus(more)
    sentences = []
    if more.applications and after.applications > quota.applications:
        sentences.append(f"{used.applications} of {quota.applications} applications are in use")
    if more.monthly and after.monthly > quota.monthly:
        sentences.append(f"{after.monthly} per month would pass the {quota.monthly} of the quota")
    for key, limit in sorted(quota.items.items()):
        if more.items.get(key) and after.items[key] > limit:
            sentences.append(f"{after.items[key]:f} of {key} would pass the {limit} of the quota")
    return sentences


@lru_cache(maxsize=4)
def _read(path: Path, _stamp: Stamp) -> _Quotas:
    try:
        return _Quotas.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise ConfigurationError(path.name, "not a valid list of quotas") from error
