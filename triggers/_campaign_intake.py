"""Taking a campaign in exactly once, starting its orchestration, and looking after it."""

from collections.abc import Sequence
from typing import Any

import azure.durable_functions as df

from shared import archetypes
from shared.archetypes import Archetype
from shared.canonical import digest
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.instance_ids import campaign_id, campaign_instance
from shared.log import LOGGER
from shared.models.campaigns import CampaignInput, CampaignMember, CampaignRecord, CampaignRequest, CampaignState
from shared.models.problem import Problem
from shared.models.records import ApplicationRecord
from shared.register import campaigns, requests
from shared.register.audit import Entry
from triggers._intake import pace, start_once
from triggers._sweeping import ENDED, ORPHAN_SECONDS, apart, older

_S = CampaignState
_LIVING = ("active", "expired")
_TENTH = 10


async def take_in(
    client: df.DurableOrchestrationClient, caller: Caller, archetype: Archetype, key: str, wanted: CampaignRequest
) -> CampaignRecord:
    """Record a campaign and start it; the same key and body always give the same one.

    Raises:
        RequestRejectedError: no application is at an older version, or the key was used for something else.
    """
    identifier = campaign_id(caller.tenant, caller.id, archetype.id, key)
    found = await campaigns.find(identifier) or await _create(identifier, caller, archetype, wanted)
    if found.body_hash != digest(wanted.document()):
        detail = f"The same key was used for another campaign ({found.id})."
        raise RequestRejectedError("idempotency-key-reused", detail, status=409)
    await start_recorded(client, found)
    return found


async def _create(identifier: str, caller: Caller, archetype: Archetype, wanted: CampaignRequest) -> CampaignRecord:
    older_ones = [record async for record in requests.applications() if _is_older(record, archetype)]
    if not older_ones:
        detail = f"Every application of {archetype.id} is at {archetype.version}."
        raise RequestRejectedError("nothing-to-update", detail, status=409)
    members = dealt(identifier, sorted(older_ones, key=lambda record: record.name))
    now = utc_now()
    record = CampaignRecord(
        id=identifier,
        archetype=archetype.id,
        version=archetype.version,
        skeleton=archetypes.skeleton_digest(archetype.id),
        state=_S.RUNNING,
        reason=wanted.reason,
        max_failed_percent=wanted.max_failed_percent,
        requester=caller.id,
        requester_name=caller.name,
        body_hash=digest(wanted.document()),
        instance_id=campaign_instance(identifier, 1),
        waves=members[-1].wave + 1,
        created_at=now,
        updated_at=now,
    )
    detail = f"{archetype.id} {archetype.version} for {len(members)} applications"
    return await campaigns.create(
        record, members, Entry(f"{identifier}:begin", now, caller.id, "campaign", identifier, detail)
    )


def _is_older(record: ApplicationRecord, archetype: Archetype) -> bool:
    ours = record.archetype == archetype.id and record.state in _LIVING
    return ours and _number(record.archetype_version) < _number(archetype.version)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def dealt(campaign: str, found: Sequence[ApplicationRecord]) -> list[CampaignMember]:
    """The applications in waves: one, then up to a tenth, then the rest."""
    tenth = max(2, len(found) // _TENTH)
    return [
        CampaignMember(
            campaign_id=campaign,
            application=record.name,
            request_id=record.request_id,
            wave=0 if index == 0 else 1 if index < tenth else 2 if len(found) > tenth else 1,
        )
        for index, record in enumerate(found)
    ]


async def start_recorded(client: df.DurableOrchestrationClient, record: CampaignRecord) -> None:
    """Start what is recorded; the sweep does the same if this process dies first or this fails."""
    if record.state is not _S.RUNNING:
        return
    try:
        await _start(client, record)
    except Exception:  # noqa: BLE001 - the campaign is recorded and stands; the SDK raises bare Exception
        LOGGER.exception("%s is recorded but not started yet: the sweep will start it", record.id)


async def _start(client: df.DurableOrchestrationClient, record: CampaignRecord) -> None:
    payload = CampaignInput(request_id=record.id, application=record.id, attempt=record.attempt, pace=pace())
    await start_once(client, "campaign", record.instance_id, payload.document())


async def sweep_campaigns(client: Any) -> None:
    """Start campaigns that nobody started; stop those whose orchestration is gone."""
    async for record in campaigns.in_state(_S.RUNNING):
        if older(record.updated_at, ORPHAN_SECONDS):
            await apart(record.id, _look_after(client, record))


async def _look_after(client: Any, record: CampaignRecord) -> None:
    status = await client.get_status(record.instance_id)
    state = status.runtime_status.value if status and status.runtime_status else None
    if state is None:
        await _start(client, record)
    elif state in ENDED:
        detail = f"The orchestration ended as {state}. What was opened is kept; resume."
        problem = Problem(code="internal", title="The run ended unexpectedly", detail=detail)
        entry = Entry(f"{record.id}:swept:{record.instance_id}", utc_now(), "appstore", "stop", record.id, detail)
        update = {"state": _S.STOPPED, "problem": problem}
        await campaigns.transition(
            record.id,
            lambda old: old.model_copy(update=update) if old.instance_id == record.instance_id else old,
            entry,
            expect=[_S.RUNNING],
        )
