"""Taking a promotion in exactly once, and starting its orchestration. Nothing is called for that but the register."""

from datetime import UTC, datetime

import azure.durable_functions as df

from shared import freezes
from shared.canonical import digest
from shared.clients import servicenow
from shared.clock import utc_now
from shared.errors import ConfigurationError, RequestRejectedError
from shared.identity import Caller
from shared.instance_ids import promote_instance, promotion_id
from shared.log import LOGGER
from shared.models import Model
from shared.models.promotions import (
    RUNNING_STATES,
    PromoteInput,
    PromotionKind,
    PromotionRecord,
    PromotionRequest,
    PromotionState,
    RollbackRequest,
)
from shared.models.records import ApplicationRecord
from shared.register import promotions
from shared.register.audit import Entry
from shared.releases import ORDER
from shared.rule_set import load_rules
from triggers._intake import pace, start_once

_ACTIVE = "active"
_FREEZE = "PRM-010"


def require_possible(application: ApplicationRecord, wanted: PromotionRequest) -> None:
    """Demand what can be told without asking GitHub: the application exists, and the stages follow one another.

    Raises:
        RequestRejectedError: 409 or 422 naming the field.
    """
    if application.state != _ACTIVE:
        detail = f"{application.name} is {application.state}: there is nothing to promote yet."
        raise RequestRejectedError("not-active", detail, status=409)
    for field, stage in (("from", wanted.source), ("to", wanted.target)):
        if stage not in application.environments:
            detail = f"{application.name} has no environment {stage}."
            raise RequestRejectedError("unknown-environment", detail, pointer=f"/{field}")
    if ORDER.index(wanted.target) != ORDER.index(wanted.source) + 1:
        detail = f"A release goes from one stage to the very next one: {', '.join(ORDER)}."
        raise RequestRejectedError("stages-do-not-follow", detail, pointer="/to")


def require_no_freeze(application: ApplicationRecord, stage: str) -> None:
    """Demand that no change freeze is in force for the stage; an exception from the rule counts.

    Raises:
        RequestRejectedError: 409, naming the freeze.
    """
    now = datetime.now(UTC)
    freeze = freezes.in_force(stage, now)
    if freeze is None or _excepted(application, stage, now):
        return
    detail = f"{_FREEZE}: a change freeze ({freeze.id}) is in force until {freeze.ends.isoformat()}: {freeze.reason}"
    raise RequestRejectedError("change-freeze", detail, status=409, pointer="/to")


def _excepted(application: ApplicationRecord, stage: str, now: datetime) -> bool:
    return any(
        item.rule == _FREEZE
        and item.application in ("*", application.name)
        and item.team in ("*", application.owner_team)
        and item.environment in ("*", stage)
        and item.granted <= now.date() <= item.expires
        for item in load_rules().exceptions
    )


def require_records(stage: str) -> list[str]:
    """Systems that keep records of a promotion to this stage.

    Raises:
        ConfigurationError: production without ServiceNow.
    """
    systems = ["servicenow"] if servicenow.configured() else []
    if stage == "prod" and not systems:
        raise ConfigurationError("SERVICENOW_INSTANCE", "production is not changed without a change request")
    return systems


def promotion_of(
    application: ApplicationRecord, caller: Caller, key: str, wanted: PromotionRequest, systems: list[str]
) -> PromotionRecord:
    """The row of a new promotion."""
    return _record(application, caller, key, wanted, systems).model_copy(
        update={
            "source": str(wanted.source),
            "target": str(wanted.target),
            "asked_digest": wanted.digest,
            "reason": wanted.reason,
        }
    )


def rollback_of(
    application: ApplicationRecord,
    caller: Caller,
    key: str,
    original: PromotionRecord,
    *,
    wanted: RollbackRequest,
    systems: list[str],
) -> PromotionRecord:
    """The row of a promotion that takes another one back: to what ran in that stage before it.

    Raises:
        RequestRejectedError: 409, nothing ran there before.
    """
    previous = original.document_reference.previous if original.document_reference else ""
    if not previous:
        detail = f"Nothing ran in {original.target} before promotion {original.id}: there is nothing to go back to."
        raise RequestRejectedError("nothing-before", detail, status=409)
    return _record(application, caller, f"{original.id}\x00{key}", wanted, systems).model_copy(
        update={
            "kind": PromotionKind.ROLL_BACK,
            "source": original.source,
            "target": original.target,
            "asked_digest": previous,
            "reason": wanted.reason,
            "rolls_back": original.id,
        }
    )


def _record(
    application: ApplicationRecord, caller: Caller, key: str, wanted: Model, systems: list[str]
) -> PromotionRecord:
    now, identifier = utc_now(), promotion_id(caller.tenant, caller.id, application.name, key)
    return PromotionRecord(
        id=identifier,
        application=application.name,
        state=PromotionState.RECEIVED,
        source="",
        target="",
        body_hash=digest(wanted.document()),
        tenant=caller.tenant,
        requester=caller.id,
        requester_name=caller.name,
        owner_team=application.owner_team,
        request_id=application.request_id,
        record_systems=systems,
        instance_id=promote_instance(identifier, 1),
        created_at=now,
        updated_at=now,
    )


async def already_asked(
    application: ApplicationRecord, caller: Caller, key: str, wanted: Model
) -> PromotionRecord | None:
    """The promotion that this caller asked for under this key before: a repeat is not judged again.

    Raises:
        RequestRejectedError: 409, the key was used for another body.
    """
    found = await promotions.find(application.name, promotion_id(caller.tenant, caller.id, application.name, key))
    if found:
        _require_same(found, wanted)
    return found


def _require_same(found: PromotionRecord, wanted: Model) -> None:
    if found.body_hash != digest(wanted.document()):
        detail = f"This Idempotency-Key was used for another promotion ({found.id})."
        raise RequestRejectedError("idempotency-key-reused", detail, status=409)


async def take_in(client: df.DurableOrchestrationClient, record: PromotionRecord, wanted: Model) -> PromotionRecord:
    """Record the promotion and start it; every repeat ends at the same promotion.

    Raises:
        RequestRejectedError: 409, the key was used for another body at the same moment.
    """
    detail = f"{record.kind.replace('_', ' ')} {record.source} -> {record.target}: {record.asked_digest or 'what runs'}"
    entry = Entry(f"{record.id}:promote", record.created_at, record.requester, "promote", record.id, detail)
    found = await promotions.create(record, entry)
    _require_same(found, wanted)
    await start_recorded(client, found)
    return found


async def start_recorded(client: df.DurableOrchestrationClient, record: PromotionRecord) -> None:
    """Start what is recorded; the sweep does the same if this process dies first or this fails."""
    try:
        await start(client, record)
    except Exception:  # noqa: BLE001 - the promotion is recorded and stands; the SDK raises bare Exception
        LOGGER.exception("%s is recorded but not started yet: the sweep will start it", record.id)


async def start(client: df.DurableOrchestrationClient, record: PromotionRecord) -> None:
    """Start the promotion's orchestration unless it has been started."""
    payload = PromoteInput(request_id=record.id, application=record.application, attempt=record.attempt, pace=pace())
    settled = None if record.state in RUNNING_STATES else record.updated_at
    await start_once(client, "promote", record.instance_id, payload.document(), settled_at=settled)


async def wake(client: df.DurableOrchestrationClient, record: PromotionRecord) -> None:
    """Tell the orchestration to look at the rows again. Losing this hint loses nothing: the sweep repeats it."""
    try:
        await client.raise_event(record.instance_id, "decision", {})
    except Exception as error:  # noqa: BLE001 - the SDK raises bare Exception for unknown and finished instances
        LOGGER.info("no orchestration %s to wake: %s", record.instance_id, type(error).__name__)
