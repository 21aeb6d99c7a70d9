"""What an archetype says about how an order of it is carried out: parts of its ``archetype.yaml``."""

from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from shared.models import Model


class Data(Model):
    """A part of an archetype's files: keys as they are written, unknown ones refused."""

    model_config = ConfigDict(**{**Model.model_config, "alias_generator": None, "extra": "forbid"})


class GlobalName(Data):
    """How the name of a resource is made that is unique in all of Azure; see ``shared.names.global_name``."""

    prefix: str = Field(pattern=r"^[a-z]{1,8}-?$")
    longest: int = Field(ge=16, le=63)


class Source(Data):
    """Where the value of a pipeline variable comes from: a parameter of the request, or an output of the stack."""

    parameter: str = ""
    output: str = ""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.parameter) == bool(self.output):
            raise ValueError("either a parameter or an output")
        return self


class Credential(Data):
    """A service account of the landing zone's cluster that may act as an identity of the stack."""

    name: str
    identity: str
    subject: str


class HealthCheck(Data):
    """How a deployment is asked for its health under its DNS name; without, or where ``when`` differs, CI judges."""

    path: str = Field(default="", pattern=r"^(/[a-z0-9./-]*)?$")
    when: dict[str, Any] = {}
    otherwise: str
