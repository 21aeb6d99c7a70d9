"""A campaign: the repositories of an archetype are brought to its new version, by pull requests, in waves."""

from enum import StrEnum

from pydantic import ConfigDict, Field

from shared.models import Model
from shared.models.application_request import PlainText
from shared.models.problem import Problem
from shared.models.runs import ActivityInput, Effect, Pace


class CampaignState(StrEnum):
    """Where a campaign is. ``TRANSITIONS`` says what may follow."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"


_S = CampaignState
TRANSITIONS: dict[CampaignState, frozenset[CampaignState]] = {
    _S.RUNNING: frozenset({_S.PAUSED, _S.STOPPED, _S.SUCCEEDED, _S.CANCELLED}),
    _S.PAUSED: frozenset({_S.RUNNING, _S.CANCELLED}),
    _S.STOPPED: frozenset({_S.RUNNING, _S.CANCELLED}),
    _S.SUCCEEDED: frozenset(),
    _S.CANCELLED: frozenset(),
}


class MemberState(StrEnum):
    """What became of an application: ``opened`` waits for its checks, ``conflict`` is a labelled draft."""

    PLANNED = "planned"
    OPENED = "opened"
    PASSED = "passed"
    CONFLICT = "conflict"
    CURRENT = "current"
    SKIPPED = "skipped"
    FAILED = "failed"


class CampaignRequest(Model):
    """Body of ``POST /api/archetypes/{id}/campaigns``."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    reason: PlainText | None = Field(default=None, max_length=500, description="Why, for the pull requests.")
    max_failed_percent: int = Field(
        default=10, ge=0, le=100, description="So many per cent of a wave may fail; more stop the campaign."
    )


class CampaignRecord(Model):
    """A campaign.

    Attributes:
        id: derived from tenant, caller, archetype and Idempotency-Key.
        version: the version that it brings.
        skeleton: digest of that version's skeleton; when it moves, the campaign stops.
        waves: how many there are: the canary, a tenth, the rest.
        wave: the one that is under way.
    """

    schema_version: int = 1
    id: str
    archetype: str
    version: str
    skeleton: str
    state: CampaignState
    reason: str | None = None
    max_failed_percent: int
    requester: str
    requester_name: str
    body_hash: str
    attempt: int = 1
    instance_id: str
    waves: int
    wave: int = 0
    created_at: str
    updated_at: str
    problem: Problem | None = None


class CampaignMember(Model):
    """An application of a campaign.

    Attributes:
        from_version: version that its repository was at.
        base: commit whose tree is the skeleton as it was rendered for that version.
        rendered: commit with the new version's skeleton alone; the next campaign's base.
        commit: head of the pull request: ``main`` with the new version merged.
        conflicts: files that a person has to look at.
    """

    schema_version: int = 1
    campaign_id: str
    application: str
    request_id: str
    wave: int
    state: MemberState = MemberState.PLANNED
    from_version: str = ""
    base: str = ""
    rendered: str = ""
    commit: str = ""
    pull_number: int | None = None
    pull_url: str | None = None
    conflicts: list[str] = []
    detail: str = ""


class CampaignInput(Model):
    """Input of the orchestrator ``campaign``; ``request_id`` is the campaign's id, as in every run."""

    request_id: str
    application: str
    attempt: int = 1
    flow_version: int = 1
    pace: Pace = Pace()


class CampaignSnapshot(Effect):
    """The campaign as its orchestrator needs it; ``goes_on`` is false when somebody paused or ended it."""

    goes_on: bool
    wave: int = 0
    waves: int = 0


class CampaignWave(ActivityInput):
    """One wave; ``last_look`` says that what has no result yet has failed."""

    wave: int
    last_look: bool = False


class WaveProgress(Effect):
    """How many applications of the wave are still open for this kind of work."""

    left: int = 0


class EndWave(ActivityInput):
    """Judge a wave: go on, stop, or end; ``problem`` stops in any case."""

    wave: int
    problem: Problem | None = None
