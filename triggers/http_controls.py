"""What stands above every rule: the kill switch, freezes, legal holds and exemptions."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ConfigDict, Field, StrictBool

from shared import authorisation, freezes
from shared.authorisation import CONTROL, EXEMPT, GRANT_EXEMPTION, SEE_HOLDS, SIGNED_IN, Subject, subject_of
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.guard_rules import guard_rule
from shared.instance_ids import control_id
from shared.models import Model
from shared.models.application_request import PlainText
from shared.models.controls import Control, Exemption, FreezeRecord, KillSwitch, LegalHold, Scope
from shared.models.moment import Moment
from shared.register import controls, requests
from shared.register.audit import Entry
from triggers._http import Answer, Call, endpoint

_LONGEST_DAYS = 90


class _Body(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})


class KillSwitchRequest(_Body):
    """Body of ``PUT /api/kill-switch``."""

    on: StrictBool = Field(description="Whether all changes stop.")
    reason: PlainText = Field(min_length=3, max_length=300, description="Why, for the audit.")


class ScopeRequest(_Body):
    """What a control covers; what is left out covers everything of its kind."""

    application: str = Field(default="", pattern=r"^([a-z0-9-]{3,32})?$", description="Name of an application.")
    environment: str = Field(default="", pattern=r"^(dev|qa|prod)?$", description="Stage.")
    resource: str = Field(default="", max_length=1000, description="ARM id, or the beginning of one.")
    rule: str = Field(default="", pattern=r"^([a-z0-9-]{2,60})?$", description="Rule of rules/guard.yaml.")


class LegalHoldRequest(_Body):
    """Body of ``POST /api/legal-holds``."""

    scope: ScopeRequest
    reason: PlainText = Field(min_length=3, max_length=300, description="Why, for the audit.")


class FreezeRequest(_Body):
    """Body of ``POST /api/freezes``."""

    scope: ScopeRequest
    begins: Moment = Field(alias="from", description="From when, with a time zone.")
    ends: Moment = Field(alias="until", description="Until when, with a time zone; the end is not part of it.")
    reason: PlainText = Field(min_length=3, max_length=300, description="Why, for the audit.")


class ExemptionRequest(_Body):
    """Body of ``POST /api/exemptions``."""

    scope: ScopeRequest
    expires_at: Moment = Field(description="When it ends, with a time zone; at most 90 days from now.")
    reason: PlainText = Field(min_length=3, max_length=300, description="Why, for the audit.")


class ControlList(Model):
    """Controls of one kind, oldest first."""

    items: list[dict[str, Any]]


@endpoint("GET", "kill-switch", action=SIGNED_IN, summary="How the kill switch stands.", answers={200: KillSwitch})
async def get_kill_switch(_call: Call) -> Answer:
    """Show the kill switch: while it is on, no activity begins an effect."""
    return Answer(200, (await controls.kill_switch()).document())


@endpoint(
    "PUT",
    "kill-switch",
    action=CONTROL,
    summary="Stop all changes, or let them go on.",
    body=KillSwitchRequest,
    answers={200: KillSwitch},
)
async def set_kill_switch(call: Call) -> Answer:
    """Turn the kill switch; what is in flight ends after its current change."""
    authorisation.require(call.caller, CONTROL)
    body, caller = call.body(KillSwitchRequest), call.caller
    switch = KillSwitch(on=body.on, reason=body.reason, actor=caller.id, actor_name=caller.name, at=utc_now())
    return Answer(200, (await controls.set_kill_switch(switch)).document())


@endpoint("GET", "legal-holds", action=SEE_HOLDS, summary="Legal holds.", answers={200: ControlList})
async def list_legal_holds(call: Call) -> Answer:
    """List legal holds."""
    authorisation.require(call.caller, SEE_HOLDS)
    return _list(await controls.controls(LegalHold))


@endpoint(
    "POST",
    "legal-holds",
    action=CONTROL,
    summary="Keep everything that it covers as it is.",
    body=LegalHoldRequest,
    answers={201: LegalHold},
    headers=("Idempotency-Key",),
)
async def declare_legal_hold(call: Call) -> Answer:
    """Declare a legal hold: nothing that it covers is removed or changed until it is lifted."""
    authorisation.require(call.caller, CONTROL)
    body = call.body(LegalHoldRequest)
    if not (body.scope.application or body.scope.resource):
        detail = "/scope: a legal hold names an application or a resource; the kill switch stops everything."
        raise RequestRejectedError("invalid-field", detail, pointer="/scope")
    record = LegalHold(
        id=_identifier(call, "hold"),
        scope=_scope(body.scope),
        reason=body.reason,
        actor=call.caller.id,
        actor_name=call.caller.name,
        at=utc_now(),
    )
    return Answer(201, (await controls.declare(record, _entry(call, "hold", record.id, body.reason))).document())


@endpoint(
    "DELETE",
    "legal-holds/{hold}",
    action=CONTROL,
    summary="Lift a legal hold.",
    answers={204: "It is lifted."},
)
async def lift_legal_hold(call: Call) -> Answer:
    """Lift a legal hold."""
    authorisation.require(call.caller, CONTROL)
    record = await _found(call, LegalHold)
    await controls.lift(record, _entry(call, "lift", record.id, f"lifted: {record.reason}"))
    return Answer(204)


@endpoint("GET", "freezes", action=SIGNED_IN, summary="Change freezes.", answers={200: ControlList})
async def list_freezes(_call: Call) -> Answer:
    """List the freezes of the rules and those that were declared since."""
    declared = [item.document() for item in await controls.controls(FreezeRecord)]
    planned = [{**item.evidence(), "source": "rules/freezes.yaml"} for item in freezes.freezes()]
    return Answer(200, {"items": planned + declared})


@endpoint(
    "POST",
    "freezes",
    action=CONTROL,
    summary="Declare a change freeze.",
    body=FreezeRequest,
    answers={201: FreezeRecord},
    headers=("Idempotency-Key",),
)
async def declare_freeze(call: Call) -> Answer:
    """Declare a freeze for Day-2 changes and removals; promotions read ``rules/freezes.yaml``."""
    authorisation.require(call.caller, CONTROL)
    body = call.body(FreezeRequest)
    if body.ends <= body.begins:
        raise RequestRejectedError("invalid-field", "/until: the freeze ends before it begins.", pointer="/until")
    record = FreezeRecord(
        id=_identifier(call, "freeze"),
        scope=_scope(body.scope),
        begins=_utc(body.begins),
        ends=_utc(body.ends),
        reason=body.reason,
        actor=call.caller.id,
        actor_name=call.caller.name,
        at=utc_now(),
    )
    return Answer(201, (await controls.declare(record, _entry(call, "freeze", record.id, body.reason))).document())


@endpoint(
    "DELETE",
    "freezes/{freeze}",
    action=CONTROL,
    summary="End a declared freeze.",
    answers={204: "It is over."},
)
async def end_freeze(call: Call) -> Answer:
    """End a freeze that was declared here; those of the rules end by a change of the rules."""
    authorisation.require(call.caller, CONTROL)
    record = await _found(call, FreezeRecord)
    await controls.lift(record, _entry(call, "thaw", record.id, f"ended: {record.reason}"))
    return Answer(204)


@endpoint(
    "GET", "exemptions", action=SIGNED_IN, summary="Exemptions that the caller may see.", answers={200: ControlList}
)
async def list_exemptions(call: Call) -> Answer:
    """List exemptions of the caller's teams; whoever may see everything sees all of them."""
    found = [item for item in await controls.controls(Exemption) if _sees(call, item)]
    return _list(found)


@endpoint(
    "POST",
    "exemptions",
    action=EXEMPT,
    summary="Ask for an exemption from a Day-2 rule.",
    body=ExemptionRequest,
    answers={201: Exemption},
    headers=("Idempotency-Key",),
)
async def ask_for_exemption(call: Call) -> Answer:
    """Ask for an exemption: it has no effect until somebody else grants it, and ends by itself."""
    body = call.body(ExemptionRequest)
    team = await _require_exemptable(call, body)
    now, until = utc_now(), _utc(body.expires_at)
    if until <= now or body.expires_at > datetime.now(UTC) + timedelta(days=_LONGEST_DAYS):
        detail = f"/expiresAt: between now and {_LONGEST_DAYS} days from now."
        raise RequestRejectedError("invalid-field", detail, pointer="/expiresAt")
    record = Exemption(
        id=_identifier(call, "exemption"),
        scope=_scope(body.scope),
        reason=body.reason,
        owner=call.caller.id,
        owner_name=call.caller.name,
        owner_team=team,
        at=now,
        expires_at=until,
    )
    return Answer(201, (await controls.declare(record, _entry(call, "exempt", record.id, body.reason))).document())


@endpoint(
    "POST",
    "exemptions/{exemption}/approve",
    action=GRANT_EXEMPTION,
    summary="Grant an exemption.",
    answers={200: Exemption},
)
async def grant_exemption(call: Call) -> Answer:
    """Grant an exemption that somebody else asked for."""
    record = await _found(call, Exemption)
    authorisation.require(call.caller, GRANT_EXEMPTION, Subject(record.owner, record.owner_team))
    granted = await controls.change_control(
        record,
        lambda old: old.model_copy(update={"approver": call.caller.id, "approver_name": call.caller.name}),
        _entry(call, "grant", record.id, record.reason),
    )
    return Answer(200, granted.document())


@endpoint(
    "DELETE",
    "exemptions/{exemption}",
    action=GRANT_EXEMPTION,
    summary="End an exemption.",
    answers={204: "It is over."},
)
async def end_exemption(call: Call) -> Answer:
    """End an exemption before its time."""
    record = await _found(call, Exemption)
    authorisation.require(call.caller, GRANT_EXEMPTION, Subject(record.owner, record.owner_team))
    await controls.lift(record, _entry(call, "end-exemption", record.id, f"ended: {record.reason}"))
    return Answer(204)


async def _require_exemptable(call: Call, body: ExemptionRequest) -> str:
    """Demand that the caller may ask for it; returns the team that it concerns.

    Raises:
        RequestRejectedError: 403, 404 or 422 naming the field.
    """
    if not body.scope.rule:
        raise RequestRejectedError("invalid-field", "/scope/rule: name the rule.", pointer="/scope/rule")
    guard_rule(body.scope.rule)
    if not body.scope.application:
        detail = "/scope/application: an exemption concerns one application."
        raise RequestRejectedError("invalid-field", detail, pointer="/scope/application")
    application = await requests.application(body.scope.application)
    if application is None or not authorisation.may_see(call.caller, application):
        detail = f"There is no application {body.scope.application}."
        raise RequestRejectedError("unknown-application", detail, status=404, pointer="/scope/application")
    authorisation.require(call.caller, EXEMPT, subject_of(application))
    return application.owner_team


def _sees(call: Call, item: Exemption) -> bool:
    subject = Subject(item.owner, item.owner_team)
    return authorisation.why_not(call.caller, authorisation.SEE, subject) is None


async def _found[C: Control](call: Call, kind: type[C]) -> C:
    identifier = call.params.get(kind.kind, "")
    found = await controls.control(kind, identifier) if re.fullmatch(r"[a-z]+-[0-9a-f]{12}", identifier) else None
    if found is None:
        raise RequestRejectedError("unknown-control", f"There is no {kind.kind} {identifier}.", status=404)
    return found


def _identifier(call: Call, kind: str) -> str:
    return control_id(kind, call.caller.tenant, call.caller.id, call.idempotency_key())


def _scope(body: ScopeRequest) -> Scope:
    return Scope.model_validate(body.document())


def _entry(call: Call, action: str, identifier: str, detail: str) -> Entry:
    return Entry(f"{identifier}:{action}", utc_now(), call.caller.id, action, identifier, detail)


def _list(found: list[LegalHold] | list[Exemption]) -> Answer:
    return Answer(200, {"items": [item.document() for item in found]})


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
