"""An alert as the operation that answers it needs it, and the responses that the rules know."""

from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from shared.models import Model
from shared.models.runs import Effect


class _Closed(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})


class Condition(Model):
    """What the alert rule compares, as the common alert schema tells it.

    Attributes:
        operator: for example ``GreaterThan``.
        threshold: a number, as text.
    """

    metric_name: str
    metric_namespace: str = ""
    operator: str
    threshold: str
    time_aggregation: str = "Average"


class RespondToAlert(_Closed):
    """Parameters of the operation that answers an alert."""

    alert_id: str = Field(max_length=1000, description="Id of the alert: the same in Fired and Resolved.")
    rule: str = Field(max_length=300, description="Name of the alert rule.")
    condition: Literal["Fired", "Resolved"] = Field(description="Whether it began or ended.")
    severity: str = Field(default="", max_length=20, description="`Sev0` to `Sev4`.")
    target: str = Field(default="", max_length=1000, description="ARM id of what the alert is about.")
    fingerprint: str = Field(max_length=200, description="The same for the same rule, target and dimensions.")
    fired_at: str = Field(default="", max_length=40, description="When it fired, ISO 8601.")
    description: str = Field(default="", max_length=1000, description="What the rule says about itself.")
    conditions: list[Condition] = Field(default=[], description="What the rule compares; only for metric alerts.")


class Match(_Closed):
    """Which alerts a response is for; what is empty matches everything."""

    rules: list[str] = []
    severities: list[str] = []
    environments: list[str] = []

    def fits(self, alert: RespondToAlert, environment: str | None) -> bool:
        """Whether the response is for this alert."""
        return (
            (not self.rules or any(fnmatchcase(alert.rule.lower(), pattern.lower()) for pattern in self.rules))
            and (not self.severities or alert.severity in self.severities)
            and (not self.environments or environment in self.environments)
        )


class ResponseAction(_Closed):
    """What is done.

    Attributes:
        largest: for a database: the largest disk in GiB that it is extended to.
        replicas: for a workload: how many it is scaled to.
        runbook: for a runbook: its name in the Automation account.
        secret: for a rotation: name of the secret.
    """

    kind: Literal["extend-database", "restart-workload", "scale-workload", "start-runbook", "rotate-secret", "incident"]
    largest: int = Field(default=0, ge=0)
    replicas: int = Field(default=0, ge=0, le=50)
    runbook: str = ""
    secret: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"extend-database": "largest", "scale-workload": "replicas", "start-runbook": "runbook"}
        needed |= {"rotate-secret": "secret"}
        name = needed.get(self.kind)
        if name and not getattr(self, name):
            raise ValueError(f"{self.kind} needs {name}")
        return self


class Window(_Closed):
    """So many times in so many hours."""

    times: int = Field(ge=1)
    hours: float = Field(gt=0)


class CoolDown(_Closed):
    """How often a response is given at most: to one target, and to all."""

    target: list[Window] = []
    all: list[Window] = []


class Response(_Closed):
    """One response of ``rules/responses``; ``settle`` is in minutes."""

    id: str = Field(pattern=r"^[a-z0-9-]{2,60}$")
    match: Match
    action: ResponseAction
    settle: float = Field(default=5, ge=0)
    cool_down: CoolDown = CoolDown()


class HeldAlert(Model):
    """An alert that nobody answers before its quiet time is over.

    Attributes:
        operation: the one that kept it.
        window: the maintenance window that it fell into; empty: something was stopped by our own schedule.
    """

    application: str
    environment: str | None
    fingerprint: str
    alert: RespondToAlert
    operation: str
    window: str = ""
    at: str


class OwnStop(Model):
    """Something that our own schedule stopped.

    Attributes:
        resource: its ARM id.
        kind: its type, which says how it is switched.
        until: so long after its start nobody answers: what its metrics say is from the time when it did not run.
    """

    resource: str
    kind: str
    environment: str
    operation: str
    at: str
    until: str = ""


class Quiet(Model):
    """Why an alert is not answered now."""

    reason: str
    window: str = ""


class Verification(Effect):
    """Whether the alert's condition still holds; None when nobody can tell.

    Attributes:
        reversible: it still holds, and what was done can be taken back.
    """

    helped: bool | None
    before: float | None = None
    after: float | None = None
    reversible: bool = False


class Undone(Effect):
    """Whether a response was taken back; the detail says what was done, or why not."""

    undone: bool
