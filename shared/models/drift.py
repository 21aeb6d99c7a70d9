"""Drift: where an environment differs from its code."""

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field

from shared.models import Model
from shared.models.operations import WaveResult
from shared.models.runs import ActivityInput, Effect, PipelineRun


class Severity(StrEnum):
    """How bad a difference is."""

    CRITICAL = "critical"
    HIGH = "high"
    LOW = "low"


class DriftClass(StrEnum):
    """What may be done: a safe difference is put right by a normal apply, about the others a person decides."""

    SAFE = "safe"
    PROPOSE = "propose"


class DifferenceKind(StrEnum):
    """Changed behind Terraform's back, missing as a whole, or code that was never applied."""

    CHANGED = "changed"
    MISSING = "missing"
    UNAPPLIED = "unapplied"


class Difference(Model):
    """One attribute that is not as the code says.

    Attributes:
        address: of the object in Terraform.
        attribute: path of the attribute; empty for the object as a whole.
        expected, actual: the values as short JSON; secrets are masked.
    """

    address: str
    type: str
    attribute: str
    kind: DifferenceKind
    severity: Severity
    drift_class: DriftClass
    expected: str
    actual: str


class DriftReport(Model):
    """What a comparison found.

    Attributes:
        findings: what differs.
        ignored: what differs and is on the list of what is left as it is.
        harmless: how many differences have no meaning.
        expired: entries of that list whose last day has passed, a sentence each.
        replaces: whether putting it right takes objects away or makes them anew.
    """

    findings: list[Difference] = []
    ignored: list[Difference] = []
    harmless: int = 0
    expired: list[str] = []
    replaces: bool = False

    @property
    def safe(self) -> bool:
        """Whether a normal apply would do nothing but put safe differences right."""
        only_safe = all(item.drift_class is DriftClass.SAFE for item in self.findings)
        return bool(self.findings) and only_safe and not self.ignored and not self.replaces


class FindingState(StrEnum):
    """Whether the difference is still there."""

    OPEN = "open"
    CLOSED = "closed"


class FindingItem(Model):
    """The issue in the application's repository that stands for a finding."""

    number: int
    url: str
    state: FindingState


class FindingRecord(Model):
    """A finding, one row for each attribute however often it is found.

    Attributes:
        id: derived from application, environment, address and attribute.
        times: how often it has been opened.
        checked_at: start of the newest detection that said something about it; an older one says nothing any more.
        detection: id of that detection.
        item: its issue; None while there is none yet.
    """

    schema_version: int = 1
    id: str
    application: str
    environment: str
    state: FindingState
    difference: Difference
    times: int = 1
    opened_at: str
    seen_at: str
    closed_at: str | None = None
    checked_at: str
    detection: str
    item: FindingItem | None = None


class DetectDrift(Model):
    """What a detection is told."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    reconcile: Literal["none", "safe", "all"] = Field(
        default="safe",
        description="What may be put right afterwards: `none`; `safe`, if only safe differences were found; `all`, "
        "after a person approved exactly the saved plan.",
    )
    findings: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="Digest of the findings that somebody was shown: if others are found, nothing is put right.",
    )


class StartDrift(ActivityInput):
    """Start the pipeline that compares one environment."""

    run_id: str


class DriftStarted(Effect):
    """The comparison runs; ``commit`` holds the variables that it compares with."""

    pipeline: PipelineRun
    commit: str


class ReadDrift(ActivityInput):
    """Read what a pipeline run found."""

    run_id: str
    pipeline: PipelineRun
    commit: str = ""


class DriftFound(Effect):
    """What was found; ``reconcile`` says whether a plan that puts it right shall be made."""

    findings: int = 0
    reconcile: bool = False


class ReconciliationStarted(WaveResult):
    """The apply of the saved plan runs; None when the guard kept it back."""

    pipeline: PipelineRun | None = None
    run_id: str = ""
