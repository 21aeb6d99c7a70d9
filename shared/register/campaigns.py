"""Campaigns and their applications; a campaign has a partition of its own."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from shared.errors import StateConflictError
from shared.models.campaigns import TRANSITIONS, CampaignMember, CampaignRecord, CampaignState
from shared.register import audit
from shared.register._records import TRIES, busy, change_record
from shared.register._table import RowConflictError, Write, commit, document_of, query, read, read_many, scan

_KEY = "campaign"


def _member_key(application: str) -> str:
    return f"member:{application}"


async def find(campaign: str) -> CampaignRecord | None:
    """The campaign, or None."""
    row = await read(campaign, _KEY)
    return CampaignRecord.model_validate(row.document) if row else None


async def get(campaign: str) -> CampaignRecord:
    """The campaign, which must exist."""
    found = await find(campaign)
    if found is None:
        raise StateConflictError("unknown", f"campaign {campaign} is not in the register")
    return found


async def in_state(state: CampaignState) -> AsyncIterator[CampaignRecord]:
    """All campaigns in a state."""
    async for row in query(f"kind eq 'campaign' and state eq '{state}'"):
        yield CampaignRecord.model_validate(row.document)


async def create(record: CampaignRecord, members: Sequence[CampaignMember], entry: audit.Entry) -> CampaignRecord:
    """Record a campaign; its row is the last to be written, and a repeat returns what is there."""
    for _ in range(TRIES):
        rows = await read_many(record.id, [_KEY, audit.HEAD])
        if _KEY in rows:
            return CampaignRecord.model_validate(rows[_KEY].document)
        for member in members:
            with suppress(RowConflictError):
                await commit(record.id, [Write(_member_key(member.application), document_of(member))])
        try:
            await commit(record.id, [Write(_KEY, document_of(record)), *audit.append(rows.get(audit.HEAD), entry)])
        except RowConflictError:
            continue
        return record
    raise busy(record.id)


async def transition(
    campaign: str,
    change: Callable[[CampaignRecord], CampaignRecord],
    entry: audit.Entry,
    *,
    expect: Sequence[CampaignState],
) -> CampaignRecord:
    """Change a campaign together with its audit entry; raises as ``change_record``."""
    return await change_record(CampaignRecord, campaign, _KEY, change, entry, expect=expect, declared=TRANSITIONS)


async def members(campaign: str, wave: int | None = None) -> list[CampaignMember]:
    """The applications of a campaign by name; of one wave only, if it is given."""
    found = [CampaignMember.model_validate(row.document) async for row in scan(campaign, "member:")]
    return [member for member in found if wave in (None, member.wave)]


async def renderings(application: str) -> list[str]:
    """Commits that hold a skeleton alone, as campaigns rendered it for the application."""
    return [str(row.document["commit"]) async for row in scan(application, "rendering:")]


async def note_rendering(member: CampaignMember) -> None:
    """Remember the commit with the application, for the campaigns to come."""
    write = Write(f"rendering:{member.campaign_id}", {"commit": member.rendered}, force=True)
    await commit(member.application, [write])


async def write_member(member: CampaignMember) -> None:
    """Write what became of an application; two runs of the same step tell the same, the last writer wins."""
    await commit(member.campaign_id, [Write(_member_key(member.application), document_of(member), force=True)])
