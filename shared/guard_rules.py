"""How far each rule may go on its own (``rules/guard.yaml``)."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigurationError
from shared.guard import Mode
from shared.models import Model
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "guard.yaml"


class _Part(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})


class Budget(_Part):
    """Changes that a rule may make: per run, per hour, per day."""

    run: int = Field(ge=0)
    hour: int = Field(ge=0)
    day: int = Field(ge=0)


class BlastRadius(_Part):
    """How much of what was looked at one run may hit: so many per cent, but never fewer than ``at_least``."""

    percent: float = Field(gt=0, le=100)
    at_least: int = Field(ge=0)

    def limit(self, scanned: int) -> int:
        """So many changes one run may make."""
        return max(self.at_least, int(scanned * self.percent / 100))


class BreakerRule(_Part):
    """After so many failures in a row the rule pauses for so many minutes."""

    failures: int = Field(ge=1)
    minutes: float = Field(gt=0)


def _as_written(value: Any) -> Any:
    """YAML reads ``off`` as false."""
    return Mode.OFF if value is False else value


class GuardRule(_Part):
    """How far a rule may go; see the comments of the file."""

    mode: Annotated[Mode, BeforeValidator(_as_written)]
    budget: Budget
    blast_radius: BlastRadius
    canary: int = Field(ge=1)
    waves: list[int] = Field(min_length=1)
    breaker: BreakerRule
    approve: list[Literal["dev", "qa", "prod"]]
    decide_hours: float = Field(gt=0)
    undo_days: float = Field(ge=0)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.waves != sorted(set(self.waves)) or self.waves[-1] != 100:  # noqa: PLR2004 - per cent
            raise ValueError("waves rise and end at 100")
        return self

    def wave_ends(self, count: int) -> list[int]:
        """Where each wave ends among so many changes: the canary first, then the shares, none twice."""
        ends = [min(self.canary, count), *(count * share // 100 for share in self.waves)]
        return sorted({end for end in ends if end > 0})


def guard_rule(name: str, path: Path | None = None) -> GuardRule:
    """The limits of one rule, as the file is now.

    Raises:
        ConfigurationError: the file is missing or malformed: then nothing may change.
    """
    file = path or FILE
    rules = _read(file, stamp(file))
    return rules.get(name) or rules[""]


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> dict[str, GuardRule]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        if set(document) != {"defaults", "rules"}:
            raise ConfigurationError(path.name, "it has `defaults` and `rules`, and nothing else")
        defaults: dict[str, Any] = document["defaults"]
        rules = {name: {**defaults, **(rule or {})} for name, rule in (document["rules"] or {}).items()}
        return {name: GuardRule.model_validate(rule) for name, rule in {"": defaults, **rules}.items()}
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(path.name, f"not the rules of the guard: {error}") from error
