"""A moment as people and machines write it: ISO 8601 text with its time zone."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator


def _as_text(value: Any) -> Any:
    """A number is no moment, and YAML takes a time without a zone for UTC: a moment is text."""
    if value is None or isinstance(value, str):
        return value
    raise ValueError("write the time as text, with its zone")


Moment = Annotated[AwareDatetime, BeforeValidator(_as_text)]
