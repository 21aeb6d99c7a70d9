"""What the data of an application must have, by stage (``rules/backups.yaml``)."""

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ConfigDict, Field, ValidationError

from shared.errors import ConfigurationError
from shared.models import Model
from shared.models.backups import DataKind
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "backups.yaml"


class BackupRule(Model):
    """Demands on backups of one stage.

    Attributes:
        drill_days: 0 demands no drill.
        drilled: the kinds whose restore must be proven.
        sample: so many secrets of a vault, and blobs of an account, a drill restores at most.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    retention_days: int = Field(ge=1, le=35)
    drill_days: int = Field(ge=0)
    drilled: list[DataKind] = list(DataKind)
    sample: int = Field(default=25, ge=1, le=100)
    rto_minutes: float = Field(gt=0)
    rpo_minutes: float = Field(gt=0)


def backup_rule(environment: str, path: Path | None = None) -> BackupRule:
    """The demands on one stage, as the file is now.

    Raises:
        ConfigurationError: the file is missing, malformed, or does not know the stage.
    """
    file = path or FILE
    found = _read(file, stamp(file)).get(environment)
    if found is None:
        raise ConfigurationError(file.name, f"it says nothing about {environment}")
    return found


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> dict[str, BackupRule]:
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["environments"]
        return {name: BackupRule.model_validate(rule) for name, rule in rows.items()}
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(path.name, f"not the demands on backups: {error}") from error
