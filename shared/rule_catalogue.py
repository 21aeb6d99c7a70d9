"""Every rule by its id: what it demands, where it is decided, and whether it knows exceptions."""

from collections.abc import Mapping
from typing import Annotated, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from shared.errors import ConfigurationError
from shared.models import Model

FILE = "rego/rules.yaml"

RuleId = Annotated[str, Field(pattern=r"^[A-Z]{3}-[0-9]{3}$")]


class Rule(Model):
    """One rule.

    Attributes:
        package: request, plan or promotion; engine for what the engine itself finds.
        outcome: what a finding of it does.
        exceptable: whether an exception may set its denial aside.
        demands: a sentence: what is so when the rule finds nothing.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    package: Literal["engine", "request", "plan", "promotion"]
    outcome: Literal["deny", "require_approval", "warn"]
    exceptable: bool
    demands: str = Field(pattern=r"^[A-Z][^\n]*\.$")


_CATALOGUE = TypeAdapter(dict[RuleId, Rule])


def parse(text: str) -> dict[str, Rule]:
    """Read the catalogue.

    Raises:
        ConfigurationError: it is not valid; names the rule and the field.
    """
    try:
        rules = _CATALOGUE.validate_python(yaml.safe_load(text))
    except ValidationError as error:
        raise ConfigurationError(FILE, place_and_reason(error)) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(FILE, "not YAML") from error
    wrong = [name for name, rule in rules.items() if rule.exceptable and rule.outcome != "deny"]
    if wrong:
        raise ConfigurationError(FILE, f"{wrong[0]}.exceptable: only what is denied can be excepted")
    return rules


def documents(rules: Mapping[str, Rule]) -> dict[str, dict[str, object]]:
    """The catalogue as the rules see it, below ``data.rules``."""
    return {name: rule.document() for name, rule in rules.items()}


def place_and_reason(error: ValidationError) -> str:
    """The first thing that is wrong: its place in the file, and why."""
    first = error.errors(include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg'].removeprefix('Value error, ')}"
