"""Data resources as their protection sees them, and the drills that prove it."""

from enum import StrEnum

from shared.models import Model
from shared.models.day2_backups import Check


class DataKind(StrEnum):
    """What keeps an application's data."""

    DATABASE = "database server"
    STORAGE = "storage account"
    VAULT = "key vault"


class DataResource(Model):
    """Something with data, and what Azure keeps of it to go back to.

    Attributes:
        id: ARM id.
        owned_by: the application that its tags name; empty when they name none.
        policy: how it is protected, in a sentence; empty: it is not.
        retention_days: for so many days something can be brought back.
        earliest, latest: the oldest and the newest good recovery point, ISO 8601; None: there is none.
        gaps: what is missing whatever the stage demands, each in a sentence.
    """

    id: str
    name: str
    kind: DataKind
    environment: str
    location: str = ""
    owned_by: str = ""
    policy: str = ""
    retention_days: int = 0
    earliest: str | None = None
    latest: str | None = None
    gaps: list[str] = []


class DrillRecord(Model):
    """One drill of one resource.

    Attributes:
        operation: id of the Day-2 operation.
        resource: ARM id of what was restored.
        place: what was made for it, and is removed again.
        passed: None while it is under way, and when it ended without its checks.
        begun_at: when this resource's restore began.
        rto_seconds: from then until the restored copy could be used.
        rpo_seconds: how much of the newest data it would have lost.
        removed_at: when nothing was left of it; None: something may be.
        residue: what the vendor keeps of it for a while, whatever anybody does; empty: nothing.
        kept: why the last try to remove it left something; empty: there was none, or nothing is left.
    """

    schema_version: int = 1
    application: str
    environment: str
    operation: str
    resource: str
    kind: DataKind
    place: str
    begun_at: str
    ended_at: str | None = None
    passed: bool | None = None
    checks: list[Check] = []
    rto_seconds: int | None = None
    rpo_seconds: int | None = None
    removed_at: str | None = None
    residue: str = ""
    kept: str = ""


class LastDrill(Model):
    """The newest drill of a resource that came to an end."""

    operation: str
    at: str
    passed: bool
    failed: list[str]
    rto_seconds: int | None
    rpo_seconds: int | None
    residue: str = ""


class Coverage(Model):
    """How a data resource is protected, and what is wrong with it.

    Attributes:
        demanded_days: what ``rules/backups.yaml`` demands of the retention.
        drill_due: day by which it must be drilled; None: no drill is demanded.
        violations: each in a sentence; none: all is as demanded.
    """

    resource: DataResource
    demanded_days: int
    last_drill: LastDrill | None = None
    drill_due: str | None = None
    violations: list[str] = []
