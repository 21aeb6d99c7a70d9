"""Messages to a team's channel, and the intents that keep each of them from being sent twice."""

from enum import StrEnum

from shared.models import Model
from shared.models.plan import MadeObject
from shared.models.problem import Problem
from shared.models.runs import ActivityInput, Pace

ONCE = 0  # the occasion of a message of which an application gets one, whatever the attempt


class MessageKind(StrEnum):
    """What a message tells."""

    WELCOME = "welcome"
    REMINDER = "reminder"
    ESCALATION = "escalation"
    BREAK_GLASS = "break_glass"
    GRANT_ENDED = "grant_ended"
    PARKED = "parked"
    DEGRADED = "degraded"
    EXPIRED = "expired"
    UNDONE = "undone"
    RESIDUE = "residue"
    EXPIRES_SOON = "expires_soon"
    APPLICATION_EXPIRED = "application_expired"
    OPERATION = "operation"
    PROMOTION = "promotion"
    REMOVAL = "removal"


class MessageState(StrEnum):
    """Where a message is.

    ``due``: somebody asked for it and no flow is at work on it yet. ``sending``: a run is between the intent and its
    result, or died there. ``sent``: the vendor took it. ``unconfirmed``: it may be in the channel, nobody knows.
    ``failed``: it is not in the channel.
    """

    DUE = "due"
    SENDING = "sending"
    SENT = "sent"
    UNCONFIRMED = "unconfirmed"
    FAILED = "failed"


class Fact(Model):
    """A name and its value."""

    name: str
    value: str


class Link(Model):
    """A link and what it leads to."""

    title: str
    url: str


class Message(Model):
    """What is told, before it has the form of a vendor. Every text may be one that a person typed.

    Attributes:
        items: what is meant, one by one, for example what is left.
        next_steps: what to do now.
    """

    kind: MessageKind
    title: str
    text: str = ""
    facts: list[Fact] = []
    items: list[str] = []
    links: list[Link] = []
    next_steps: list[str] = []


class IntentRecord(Model):
    """The intent to send one message; written before the message is sent.

    Attributes:
        occasion: attempt that the message tells of; ``ONCE`` for the welcome; end and days before it for an expiry; of
            what tells about a plan that waits, the round in which it was made; of a broken glass, its number; of an
            operation or a promotion, a number made of its id, its attempt and what happened; of a removal, one made of
            what goes when.
        attempt: attempt in which it was sent last.
        system: ``teams`` or ``slack``.
        tries: how often sending was begun.
        reference: the vendor's own id of the message, when it has one.
    """

    schema_version: int = 1
    request_id: str
    application: str
    kind: MessageKind
    occasion: int
    attempt: int
    system: str
    state: MessageState
    message: Message
    tries: int = 1
    reference: str | None = None
    link: str | None = None
    problem: Problem | None = None
    created_at: str
    updated_at: str

    @property
    def key(self) -> str:
        """The message's name, the same whenever it is sent: Slack keeps it with the message."""
        return f"{self.request_id}:{self.kind}:{self.occasion}"


class SendNotice(ActivityInput):
    """Tell the channel once how an attempt ended, or that a plan waits.

    Attributes:
        problem: what went wrong or is lacking.
        residue: what is left.
        occasion: what the notice tells of; None: the attempt.
    """

    kind: MessageKind
    problem: Problem | None = None
    residue: list[MadeObject] = []
    occasion: int | None = None


class SendAgain(ActivityInput):
    """Send a message that is due."""

    kind: MessageKind
    occasion: int


class SendAgainInput(Model):
    """Input of the orchestrator ``send_again``."""

    request_id: str
    application: str
    attempt: int
    kind: MessageKind
    occasion: int
    pace: Pace = Pace()
