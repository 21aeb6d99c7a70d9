"""Which response the rules have for an alert, and whether a value still fulfils an alert's condition."""

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from shared.errors import ConfigurationError
from shared.models.day2_alerts import CoolDown, Match, RespondToAlert, Response, ResponseAction
from shared.rule_set import RULES, Stamp, stamp

FOLDER = RULES / "responses"
NOBODY_KNOWS = Response(id="unknown-alert", match=Match(), action=ResponseAction(kind="incident"), cool_down=CoolDown())
_OPERATORS = {
    "greaterthan": lambda value, limit: value > limit,
    "greaterthanorequal": lambda value, limit: value >= limit,
    "lessthan": lambda value, limit: value < limit,
    "lessthanorequal": lambda value, limit: value <= limit,
    "equals": lambda value, limit: value == limit,
}


def response_to(alert: RespondToAlert, environment: str | None, folder: Path | None = None) -> Response:
    """The first response that matches, in the order of the files' names; an incident when none does.

    Raises:
        ConfigurationError: a file is malformed.
    """
    files = sorted((folder or FOLDER).glob("*.yaml"))
    found = [response for file in files for response in _read(file, stamp(file))]
    return next((response for response in found if response.match.fits(alert, environment)), NOBODY_KNOWS)


def fulfils(value: float, operator: str, threshold: str) -> bool | None:
    """Whether a value fulfils a condition, so that the alert goes on; None for a comparison nobody knows."""
    compare = _OPERATORS.get(operator.lower())
    try:
        return compare(value, float(threshold)) if compare else None
    except ValueError:
        return None


@lru_cache(maxsize=32)
def _read(path: Path, _stamp: Stamp) -> tuple[Response, ...]:
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["responses"] or []
        return tuple(Response.model_validate(row) for row in rows)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError, TypeError, KeyError) as error:
        raise ConfigurationError(path.name, f"not a list of responses: {error}") from error
