"""Change freezes: when nothing may change in an environment (``rules/freezes.yaml``)."""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigurationError
from shared.models import Model
from shared.models.moment import Moment
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "freezes.yaml"
EVERYWHERE = "*"


class Freeze(Model):
    """A time in which an environment stays as it is.

    Attributes:
        id: name of the freeze.
        environments: which; ``*`` is all of them.
        begins, ends: from when until when; the end is not part of it.
        reason: why, in a sentence.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid", "alias_generator": None})

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    environments: tuple[Literal["dev", "qa", "prod", "*"], ...] = Field(min_length=1)
    begins: Moment = Field(alias="from")
    ends: Moment = Field(alias="until")
    reason: str = Field(min_length=3, max_length=300)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends <= self.begins:
            raise ValueError(f"the freeze {self.id} ends before it begins")
        return self

    def holds(self, environment: str, at: datetime) -> bool:
        """Whether it is in force for an environment at that moment."""
        return bool({environment, EVERYWHERE} & set(self.environments)) and self.begins <= at < self.ends

    def evidence(self) -> dict[str, Any]:
        """The freeze as the rules read it, its times in UTC."""
        return {
            "id": self.id,
            "environments": list(self.environments),
            "from": _utc(self.begins),
            "until": _utc(self.ends),
            "reason": self.reason,
        }


def freezes(path: Path | None = None) -> tuple[Freeze, ...]:
    """All freezes, as the file is now.

    Raises:
        ConfigurationError: the file is missing or malformed: nobody knows then whether something is frozen.
    """
    file = path or FILE
    return _read(file, stamp(file))


def in_force(environment: str, at: datetime, path: Path | None = None) -> Freeze | None:
    """The freeze that is in force for an environment, the one that ends last; None when there is none.

    Raises:
        ConfigurationError: as ``freezes``.
    """
    found = [freeze for freeze in freezes(path) if freeze.holds(environment, at)]
    return max(found, key=lambda freeze: freeze.ends) if found else None


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> tuple[Freeze, ...]:
    """Read and check the file; its stamp is part of the cache's key."""
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["freezes"] or []
        return tuple(Freeze.model_validate(row) for row in rows)
    except ValidationError as error:
        raise ConfigurationError(path.name, error.errors()[0]["msg"]) from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError, TypeError, KeyError) as error:
        raise ConfigurationError(path.name, f"not a list of freezes: {error}") from error
