"""Maintenance windows: when alerts are kept and not answered (``rules/maintenance_windows.yaml``)."""

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigurationError
from shared.models import Model
from shared.models.moment import Moment
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "maintenance_windows.yaml"
_LONGEST = timedelta(days=31)
_ANYWHERE = "*"


class MaintenanceWindow(Model):
    """A time in which alerts are expected.

    Attributes:
        owner: who answers for it.
        applications, rules: names with ``*`` for anything.
        environments: which; ``*`` is all of them.
        begins, ends: from when until when; the end is not part of it.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid", "alias_generator": None})

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    owner: str = Field(min_length=3, max_length=200)
    applications: tuple[str, ...] = Field(min_length=1)
    environments: tuple[Literal["dev", "qa", "prod", "*"], ...] = Field(min_length=1)
    rules: tuple[str, ...] = Field(min_length=1)
    begins: Moment = Field(alias="from")
    ends: Moment = Field(alias="until")
    reason: str = Field(min_length=3, max_length=300)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.ends <= self.begins:
            raise ValueError(f"the window {self.id} ends before it begins")
        if self.ends - self.begins > _LONGEST:
            raise ValueError(f"the window {self.id} lasts longer than {_LONGEST.days} days")
        return self

    def covers(self, application: str, environment: str | None, rule: str) -> bool:
        """Whether it is for alerts of this rule about this application; one of no environment only if it is for all."""
        return (
            _fits(application, self.applications)
            and (_ANYWHERE in self.environments or environment in self.environments)
            and _fits(rule, self.rules)
        )


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def window_of(
    application: str, environment: str | None, rule: str, at: datetime, path: Path | None = None
) -> MaintenanceWindow | None:
    """The window that an alert falls into at that moment, the one that ends last; None when there is none.

    Raises:
        ConfigurationError: the file is missing or malformed: nobody knows then what may be answered.
    """
    file = path or FILE
    covering = [window for window in _read(file, stamp(file)) if window.covers(application, environment, rule)]
    found = [window for window in covering if window.begins <= at < window.ends]
    return max(found, key=lambda window: window.ends) if found else None


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> tuple[MaintenanceWindow, ...]:
    """Read and check the file; its stamp is part of the cache's key."""
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["windows"] or []
        return tuple(MaintenanceWindow.model_validate(row) for row in rows)
    except ValidationError as error:
        raise ConfigurationError(path.name, error.errors()[0]["msg"]) from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError, TypeError, KeyError) as error:
        raise ConfigurationError(path.name, f"not a list of maintenance windows: {error}") from error
