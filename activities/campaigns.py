"""The campaign itself: whether it goes on, and how a wave is judged. These write the register and call no vendor."""

from activities._activity import look
from shared.clock import utc_now
from shared.errors import StateConflictError
from shared.models.campaigns import (
    CampaignMember,
    CampaignRecord,
    CampaignSnapshot,
    CampaignState,
    EndWave,
    MemberState,
)
from shared.models.problem import Problem
from shared.models.runs import ActivityInput
from shared.register import campaigns
from shared.register.audit import Entry

_S = CampaignState
_NAMED = 5


@look
async def read_campaign(data: ActivityInput) -> CampaignSnapshot:
    """Report where the campaign stands.

    Idempotency: reads only.
    """
    return _snapshot(await campaigns.get(data.run.request_id), data)


@look
async def end_wave(data: EndWave) -> CampaignSnapshot:
    """Judge a wave: the next one begins, the campaign ends, or it stops because too many failed.

    Idempotency: one transition per attempt and wave; a campaign that somebody stopped meanwhile stays as it is.
    """
    record = await campaigns.get(data.run.request_id)
    if record.attempt != data.run.attempt or record.state is not _S.RUNNING or record.wave != data.wave:
        return _snapshot(record, data)
    problem = data.problem or _too_many(record, await campaigns.members(record.id, data.wave))
    ended = data.wave + 1 >= record.waves
    state = _S.STOPPED if problem else _S.SUCCEEDED if ended else _S.RUNNING
    update = {"state": state, "problem": problem, "wave": data.wave if problem else data.wave + 1}
    detail = problem.detail if problem else f"wave {data.wave} is done"
    entry = Entry(f"{record.id}:wave:{data.wave}:{record.attempt}", utc_now(), "appstore", state, record.id, detail)
    try:
        record = await campaigns.transition(
            record.id, lambda old: old.model_copy(update=update), entry, expect=[_S.RUNNING]
        )
    except StateConflictError:
        record = await campaigns.get(record.id)
    return _snapshot(record, data)


def _too_many(record: CampaignRecord, members: list[CampaignMember]) -> Problem | None:
    """Why the campaign must not go on: anything in the canary, too many later."""
    failed = [member for member in members if member.state is MemberState.FAILED]
    allowed = 0 if record.wave == 0 else len(members) * record.max_failed_percent // 100
    if len(failed) <= allowed:
        return None
    named = "; ".join(f"{member.application}: {member.detail}" for member in failed[:_NAMED])
    detail = f"{len(failed)} of {len(members)} failed in wave {record.wave}, {allowed} may. {named}"
    return Problem(code="campaign-stopped", title="The campaign was stopped", detail=detail[:1000])


def _snapshot(record: CampaignRecord, data: ActivityInput) -> CampaignSnapshot:
    goes_on = record.state is _S.RUNNING and record.attempt == data.run.attempt
    return CampaignSnapshot(detail=record.state, goes_on=goes_on, wave=record.wave, waves=record.waves)
