"""Bringing the repositories of an archetype to its new version, and looking on."""

import re
from typing import Any

from pydantic import ConfigDict

from shared import archetypes, authorisation
from shared.authorisation import CAMPAIGN
from shared.clock import utc_now
from shared.errors import RequestRejectedError, StateConflictError
from shared.instance_ids import campaign_instance
from shared.models import Model
from shared.models.campaigns import CampaignMember, CampaignRecord, CampaignRequest, CampaignState, MemberState
from shared.register import campaigns
from shared.register.audit import Entry
from triggers import _campaign_intake as intake
from triggers._http import Answer, Call, endpoint
from triggers._views import base

_S = CampaignState
_ONE = "campaigns/{id}"
_AGAIN = frozenset({MemberState.FAILED, MemberState.SKIPPED})


class CampaignView(Model):
    """A campaign with its applications."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "allow"})

    id: str
    archetype: str
    version: str
    state: str
    counts: dict[str, int]
    applications: list[dict[str, Any]]
    problem: dict[str, Any] | None
    links: dict[str, str]


@endpoint(
    "POST",
    "archetypes/{id}/campaigns",
    action=CAMPAIGN,
    summary="Bring every repository of an older version to this one, by pull requests in waves.",
    body=CampaignRequest,
    answers={202: CampaignView},
    headers=("Idempotency-Key",),
)
async def create_campaign(call: Call) -> Answer:
    """Take a campaign in: the same key and body always give the same answer."""
    authorisation.require(call.caller, CAMPAIGN)
    key, body = call.idempotency_key(), call.body(CampaignRequest) if call.raw else CampaignRequest()
    known = {item.id: item for item in archetypes.catalogue()}
    identifier = call.params.get("id", "")
    if identifier not in known:
        raise RequestRejectedError("unknown-archetype", f"There is no archetype {identifier}.", status=404)
    return await _answer(await intake.take_in(call.client, call.caller, known[identifier], key, body), 202)


@endpoint("GET", _ONE, action=CAMPAIGN, summary="A campaign with its applications.", answers={200: CampaignView})
async def get_campaign(call: Call) -> Answer:
    """Show a campaign: which application has a pull request, which one needs a person."""
    return await _answer(await _known(call), 200)


@endpoint(
    "POST", f"{_ONE}/pause", action=CAMPAIGN, summary="Open no further pull request.", answers={202: CampaignView}
)
async def pause_campaign(call: Call) -> Answer:
    """Pause: what is open stays open."""
    return await _move(call, "pause", [_S.RUNNING], {"state": _S.PAUSED})


@endpoint("POST", f"{_ONE}/cancel", action=CAMPAIGN, summary="End a campaign.", answers={202: CampaignView})
async def cancel_campaign(call: Call) -> Answer:
    """Cancel: what is open stays open."""
    return await _move(call, "cancel", [_S.RUNNING, _S.PAUSED, _S.STOPPED], {"state": _S.CANCELLED})


@endpoint("POST", f"{_ONE}/resume", action=CAMPAIGN, summary="Go on with a campaign.", answers={202: CampaignView})
async def resume_campaign(call: Call) -> Answer:
    """Go on after a pause or a stop, with a new attempt: what failed or was kept back is tried again."""
    record = await _known(call)
    attempt = record.attempt + 1
    update = {"attempt": attempt, "instance_id": campaign_instance(record.id, attempt), "problem": None}
    if record.state in (_S.PAUSED, _S.STOPPED):
        for member in await campaigns.members(record.id, record.wave):
            if member.state in _AGAIN:
                state = MemberState.OPENED if member.pull_number else MemberState.PLANNED
                await campaigns.write_member(member.model_copy(update={"state": state, "detail": ""}))
    return await _move(call, "resume", [_S.PAUSED, _S.STOPPED], {**update, "state": _S.RUNNING})


async def _move(call: Call, kind: str, expect: list[CampaignState], update: dict[str, Any]) -> Answer:
    """Write the new state and its audit entry, then start what has to run."""
    record = await _known(call)
    entry = Entry(f"{record.id}:{kind}:{record.attempt}", utc_now(), call.caller.id, kind, record.id, kind)
    try:
        new = await campaigns.transition(record.id, lambda old: old.model_copy(update=update), entry, expect=expect)
    except StateConflictError as error:
        raise StateConflictError(error.state, f"Too late to {kind}: the campaign is {error.state}.") from error
    await intake.start_recorded(call.client, new)
    return await _answer(new, 202)


async def _known(call: Call) -> CampaignRecord:
    authorisation.require(call.caller, CAMPAIGN)
    identifier = call.params.get("id", "")
    found = await campaigns.find(identifier) if re.fullmatch(r"cmp-[0-9a-f]{12}", identifier) else None
    if found is None:
        raise RequestRejectedError("unknown-campaign", f"There is no campaign {identifier}.", status=404)
    return found


async def _answer(record: CampaignRecord, status: int) -> Answer:
    place = f"{base()}/campaigns/{record.id}"
    members = await campaigns.members(record.id)
    shown = {
        name: value for name, value in record.document().items() if name not in ("bodyHash", "instanceId", "skeleton")
    }
    counts = {str(state): sum(member.state is state for member in members) for state in MemberState}
    view = {**shown, "counts": counts, "applications": [_view(member) for member in members], "links": {"self": place}}
    return Answer(status, view, {"Location": place} if status == 202 else {})  # noqa: PLR2004 - HTTP status


def _view(member: CampaignMember) -> dict[str, Any]:
    shown = ("application", "wave", "state", "fromVersion", "pullNumber", "pullUrl", "conflicts", "detail")
    document = member.document()
    return {name: document[name] for name in shown}
