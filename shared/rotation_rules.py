"""How secrets are renewed, by their names (``rules/rotation.yaml``)."""

from fnmatch import fnmatchcase
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigurationError
from shared.models import Model
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "rotation.yaml"
AHEAD = 30  # days before its end at which Key Vault tells of a version (SecretNearExpiry), and our timer asks


class RotationRule(Model):
    """How secrets of a name are renewed; see the comments of the file."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    secrets: str = Field(min_length=1)
    strategy: Literal["dual", "single", "none"]
    overlap_days: float = Field(ge=0)
    validity_days: int = Field(ge=1)
    owner: str = Field(min_length=1)
    reason: str = Field(min_length=1)

    @model_validator(mode="after")
    def _one_has_no_overlap(self) -> Self:
        if self.strategy == "single" and self.overlap_days:
            raise ValueError("one credential cannot overlap with itself: overlapDays is 0 with strategy single")
        return self

    @model_validator(mode="after")
    def _outlives_the_rotation(self) -> Self:
        if self.validity_days < self.least_days:
            raise ValueError(f"validityDays is {self.least_days} at least: {self.why_least}")
        return self

    @property
    def least_days(self) -> int:
        """So many days a version must be valid: one that ends soon at once is told while its rotation is not over."""
        return AHEAD + ceil(self.overlap_days) + 1

    @property
    def why_least(self) -> str:
        """The reason for it, as part of a sentence."""
        return (
            f"{AHEAD} days before its end a version is renewed, and the one before works {self.overlap_days:g} days on"
        )


def rotation_rule(secret: str, path: Path | None = None) -> RotationRule | None:
    """The first rule that fits a secret's name, as the file is now; None when no rule does: then it stays as it is.

    Raises:
        ConfigurationError: the file is missing or malformed.
    """
    file = path or FILE
    return next((rule for rule in _read(file, stamp(file)) if fnmatchcase(secret.lower(), rule.secrets.lower())), None)


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> list[RotationRule]:
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]
        return [RotationRule.model_validate(row) for row in rows]
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(path.name, f"not the rules of rotation: {error}") from error
