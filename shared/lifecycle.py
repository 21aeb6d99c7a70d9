"""When an application with an end is told about, expires, and may be renewed. Pure: the day is given."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigurationError, RequestRejectedError
from shared.models import Model
from shared.models.application_request import EnvironmentName
from shared.models.records import ApplicationRecord
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "lifecycle.yaml"
ANY = "*"
_POINTER = "/expiresOn"


class Limits(Model):
    """How long applications of an archetype may live whose last environment is this one; ``*`` stands for all.

    Attributes:
        max_days: how far ahead a new end may lie, whoever allows it.
        lifetime_days: from the order to the end; beyond it an approver is needed.
        renewals: how many the team may do by itself.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    archetype: str = Field(pattern=r"^(\*|[a-z][a-z0-9_]{1,30})$")
    environment: EnvironmentName | Literal["*"]
    max_days: int = Field(ge=1, le=3650)
    lifetime_days: int = Field(ge=1, le=36500)
    renewals: int = Field(ge=0, le=100)


class _Rules(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    notices: tuple[int, ...] = Field(min_length=1)
    limits: tuple[Limits, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        places = [(row.archetype, row.environment) for row in self.limits]
        if len(set(places)) != len(places):
            raise ValueError("two rows are for the same archetype and environment")
        if (ANY, ANY) not in places:
            raise ValueError("one row must be for every other archetype and environment")
        if len(set(self.notices)) != len(self.notices) or min(self.notices) < 0:
            raise ValueError("notices: days before the end, each once")
        return self


def limits_of(archetype: str, environments: Sequence[str], path: Path = FILE) -> Limits:
    """The limits of an application.

    Raises:
        ConfigurationError: the file is not valid.
    """
    last = max(map(EnvironmentName, environments), key=list(EnvironmentName).index)
    rows = {(row.archetype, str(row.environment)): row for row in _read(path, stamp(path)).limits}
    places = [(archetype, str(last)), (archetype, ANY), (ANY, str(last)), (ANY, ANY)]
    return next(rows[place] for place in places if place in rows)


def require_end(archetype: str, environments: Sequence[str], end: date | None, today: date, path: Path = FILE) -> None:
    """Demand that an application may be given this end.

    Raises:
        RequestRejectedError: it lies too far ahead.
    """
    limits = limits_of(archetype, environments, path)
    latest = today + timedelta(days=limits.max_days)
    if end is not None and end > latest:
        detail = f"An end may lie at most {limits.max_days} days ahead: {latest} at the latest."
        raise RequestRejectedError("lifetime-too-long", detail, pointer=_POINTER)


def why_approval(record: ApplicationRecord, end: date, path: Path = FILE) -> str | None:
    """Why the team may not renew to this end by itself, or None when it may."""
    limits = limits_of(record.archetype, record.environments, path)
    if len(record.renewals) >= limits.renewals:
        return f"it was renewed {len(record.renewals)} times, and a team may do so {limits.renewals} times"
    latest = date.fromisoformat(record.created_at[:10]) + timedelta(days=limits.lifetime_days)
    if end > latest:
        return f"it would live longer than {limits.lifetime_days} days, until after {latest}"
    return None


def has_ended(end: date, today: date) -> bool:
    """The end is the last day of the application's life."""
    return today > end


def due_notice(end: date, today: date, path: Path = FILE) -> int | None:
    """The notice that should have been sent by now: the latest that is due, as days before the end; None before all.

    Days on which nobody looked are not made up for one by one: who learns of the last week need not learn of two.
    """
    if has_ended(end, today):
        return None
    left = (end - today).days
    return min((days for days in _read(path, stamp(path)).notices if left <= days), default=None)


@lru_cache(maxsize=4)
def _read(path: Path, _stamp: Stamp) -> _Rules:
    """Read and check the rules; their stamp is part of the cache's key."""
    try:
        return _Rules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(path.name, f"not YAML: {error}") from error
