"""Orphans that are watched, and tombstones of what was removed."""

from datetime import date
from enum import StrEnum

from pydantic import ConfigDict, Field

from shared.models import Model
from shared.models.moment import Moment


class CleanUp(Model):
    """Parameters of the sweep and of the removal."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    at: Moment | None = Field(
        default=None, description="Moment of the sweep; only the timer says it, for everybody else it is now."
    )


class RestoreTombstone(Model):
    """Parameters of a restoration."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    tombstone: str = Field(pattern=r"^tmb-[0-9a-f]{12}$", description="Id of the tombstone: `GET /api/tombstones`.")


class OrphanState(StrEnum):
    """``watched``: seen by some sweeps in a row; ``marked``: it will be removed, and its team is told."""

    WATCHED = "watched"
    MARKED = "marked"


class OrphanRecord(Model):
    """A resource that nothing uses. This row decides; a tag on the resource only shows it.

    Attributes:
        resource: ARM id.
        kind: ARM type.
        policy: name of the policy that means it.
        sightings: sweeps in a row that saw it, at most one a day.
        first_seen, last_seen: days of the first and the last of them.
        marked_on: the day of the mark; later sweeps keep it.
        due: the day from which it may be removed.
        tag: name of the tag that mirrors the mark.
        told: notices that were given, as days before the removal.
        told_on: day of the last one: nothing is removed before a day has passed since.
    """

    schema_version: int = 1
    application: str
    environment: str
    resource: str
    kind: str
    policy: str
    state: OrphanState = OrphanState.WATCHED
    sightings: int = 1
    first_seen: date
    last_seen: date
    marked_on: date | None = None
    due: date | None = None
    tag: str = ""
    told: list[int] = []
    told_on: date | None = None


class TombstoneState(StrEnum):
    """``prepared``: exported, and still there; ``kept``: gone, and can be brought back."""

    PREPARED = "prepared"
    KEPT = "kept"
    RESTORED = "restored"
    FORGOTTEN = "forgotten"


class TombstoneRecord(Model):
    """What was removed, and everything that is needed to bring it back.

    Attributes:
        blob: name of the blob with the resource's configuration.
        digest: of the configuration: what comes back has the same.
        snapshot: ARM id of the snapshot of its data; empty without data.
        loses: what cannot be brought back.
        keep_until: so long it can be brought back.
        operation_id: the operation that removed it.
    """

    schema_version: int = 1
    id: str
    application: str
    environment: str
    owner_team: str
    resource: str
    kind: str
    policy: str
    blob: str
    digest: str
    snapshot: str = ""
    loses: str = ""
    state: TombstoneState = TombstoneState.PREPARED
    operation_id: str
    removed_at: str
    keep_until: str
    restored_at: str | None = None
