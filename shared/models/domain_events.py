"""What is told of applications: the data of each kind of event, as subscribers read it."""

from pydantic import Field

from shared.models import Model


class Happened(Model):
    """What every event says."""

    application: str = Field(description="Name of the application.")
    position: int = Field(description="Place in the application's audit trail: what happened first has the lower one.")
    actor: str = Field(description="Object id of the person or service, or `appstore`.")
    outcome: str = Field(description="The audit trail's word for it, for example `approve` or `partial`.")


class ApplicationHappened(Happened):
    """Something happened to a request or to the application that it made."""

    request_id: str
    archetype: str | None = None
    owner_team: str | None = None
    environments: list[str] = []


class OperationHappened(Happened):
    """Something happened to a Day-2 operation."""

    operation_id: str
    operation: str | None = Field(default=None, description="For example `rotate-secret`.")
    environment: str | None = None
    occasion: str | None = None
    dry_run: bool | None = None


class PromotionHappened(Happened):
    """Something happened to a promotion."""

    promotion_id: str
    source: str | None = None
    target: str | None = None
    digest: str | None = Field(default=None, description="Digest of the promoted image.")


class DomainEvent(Model):
    """One event before it is a CloudEvent.

    Attributes:
        id: application and position: the same entry of the audit trail always has the same.
        source: the application as a URI reference; together with ``id`` it is unique.
    """

    id: str
    type: str
    source: str
    subject: str
    time: str
    position: int
    data: ApplicationHappened | OperationHappened | PromotionHappened
