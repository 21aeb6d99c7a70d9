"""What an app team asks for: the body of ``POST /api/requests`` and ``/api/requests/preview``."""

import unicodedata
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, field_validator

from shared.models import Model


class EnvironmentName(StrEnum):
    """The stages of an application, in promotion order."""

    DEV = "dev"
    QA = "qa"
    PROD = "prod"


class DataClassification(StrEnum):
    """How sensitive the application's data is."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"


class Criticality(StrEnum):
    """How much the business depends on the application."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


def _plain_text(text: str) -> str:
    """Refuse what no system downstream can store: control characters other than tab and line breaks."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r":
            raise ValueError(f"the character U+{ord(character):04X} is not allowed")
    return text


PlainText = Annotated[str, AfterValidator(_plain_text)]


class ApplicationRequest(Model):
    """An application as asked for. Unknown fields are refused: a misspelt one would be lost silently."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    name: str = Field(
        pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        min_length=3,
        max_length=32,
        description="Name of the application, of its repository and of its DNS record: lower case, digits, hyphens.",
        examples=["payments-api"],
    )
    archetype: str = Field(pattern=r"^[a-z][a-z0-9_]{1,30}$", description="Id of the archetype.", examples=["api"])
    description: PlainText = Field(min_length=1, max_length=500, description="What the application is for.")
    owner_team: str = Field(
        pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40, description="Team that owns it (GitHub team slug)."
    )
    contact: str = Field(
        pattern=r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$",
        max_length=254,
        description="Mail address for notices.",
    )
    environments: list[EnvironmentName] = Field(
        min_length=1, max_length=3, description="Environments to create, each at most once."
    )
    region: str = Field(pattern=r"^[a-z][a-z0-9]{2,29}$", description="Azure region.", examples=["westeurope"])
    cost_center: str = Field(pattern=r"^[A-Z]{2}-[0-9]{3,8}$", description="Cost centre.", examples=["CC-1001"])
    data_classification: DataClassification = Field(description="How sensitive the data is.")
    criticality: Criticality = Field(description="How much the business depends on it.")
    monthly_budget: Decimal = Field(
        gt=0, le=1_000_000, decimal_places=2, description="Budget per month, all environments."
    )
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$", description="Currency of the budget.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of the archetype, by its JSON Schema."
    )
    expires_on: date | None = Field(
        default=None, description="Day after which the application may be removed, or null."
    )

    @field_validator("environments")
    @classmethod
    def _each_once(cls, value: list[EnvironmentName]) -> list[EnvironmentName]:
        if len(set(value)) != len(value):
            raise ValueError("an environment is named twice")
        return sorted(value, key=list(EnvironmentName).index)
