"""Data that travels: bodies, payloads, rows. No clock, no ids, no I/O in here."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Base of everything stored or passed between functions: frozen, camelCase in JSON.

    Unknown fields are ignored, because a running instance may carry fields of a newer version.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def document(self) -> dict[str, object]:
        """The JSON document of this model, camelCase, plain types only."""
        return self.model_dump(mode="json", by_alias=True)
