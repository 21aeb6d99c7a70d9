"""Teams that may own applications, and the Entra ID groups behind them."""

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ConfigDict, ValidationError

from shared.errors import ConfigurationError, RequestRejectedError
from shared.models import Model
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "teams.yaml"


class Team(Model):
    """A team's identity in the other systems."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    entra_group_id: str


class _Teams(Model):
    teams: dict[str, Team]


def find(name: str, path: Path = FILE) -> Team:
    """The team.

    Raises:
        RequestRejectedError: no such team; the pointer names the field of the request.
    """
    teams = _read(path, stamp(path)).teams
    if name not in teams:
        detail = f"There is no team {name}; there are: {', '.join(sorted(teams))}."
        raise RequestRejectedError("unknown-team", detail, pointer="/ownerTeam")
    return teams[name]


def all_groups(path: Path = FILE) -> list[str]:
    """The Entra ID groups of all teams."""
    return sorted(team.entra_group_id for team in _read(path, stamp(path)).teams.values())


def names(path: Path = FILE) -> list[str]:
    """Names of all teams."""
    return sorted(_read(path, stamp(path)).teams)


def names_of(groups: list[str], path: Path = FILE) -> list[str]:
    """Names of the teams whose group is among these."""
    return sorted(name for name, team in _read(path, stamp(path)).teams.items() if team.entra_group_id in groups)


@lru_cache(maxsize=4)
def _read(path: Path, _stamp: Stamp) -> _Teams:
    try:
        return _Teams.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise ConfigurationError(path.name, "not a valid list of teams") from error
