"""A command: a Day-2 operation that another program asks for over the queue ``commands``."""

from typing import Any

from pydantic import ConfigDict, Field

from shared.models import Model
from shared.models.application_request import EnvironmentName, PlainText


class Command(Model):
    """The body of a message in ``commands``.

    Attributes:
        operation: name of a Day-2 operation, as in ``GET /api/operations``.
        application: the same as the message's session, which keeps the order.
        requested_by: who stands behind it, for the record only; it gives nobody a right.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid", "strict": True})

    operation: str = Field(pattern=r"^[a-z0-9-]{2,60}$")
    application: str = Field(pattern=r"^[a-z0-9-]{3,32}$")
    environment: EnvironmentName | None = None
    parameters: dict[str, Any] = {}
    dry_run: bool = False
    reason: PlainText | None = Field(default=None, max_length=500)
    requested_by: PlainText | None = Field(default=None, max_length=200)


class RejectedCommand(Model):
    """A command that no repeat would make acceptable.

    Attributes:
        id: the message's id.
        session: the message's session.
        code: problem code.
        detail: a sentence that says what is wrong.
    """

    schema_version: int = 1
    id: str
    session: str
    code: str
    detail: str
    at: str


class DecidedDeadLetter(Model):
    """What a person decided about a dead letter; the first decision stands.

    Attributes:
        sequence: its number in the queue.
        decision: ``replay`` or ``discard``.
        copy_id: id of the message that a replay sends.
    """

    schema_version: int = 1
    sequence: int
    decision: str
    copy_id: str = ""
    actor: str
    at: str
