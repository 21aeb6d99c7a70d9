"""What was removed and can be brought back."""

import re
from datetime import UTC, datetime
from typing import Any

from shared import authorisation, clean_up
from shared.authorisation import OPERATE, SEE, SIGNED_IN, Subject
from shared.errors import RequestRejectedError
from shared.models import Model
from shared.models.clean_up import TombstoneRecord, TombstoneState
from shared.models.operations import AskedOperation, Occasion
from shared.register import tombstones
from triggers._http import Answer, Call, endpoint
from triggers._operation_intake import accept
from triggers._operation_views import place
from triggers._views import base
from triggers.http_operations import AcceptedOperation


class TombstoneList(Model):
    """Tombstones that the caller may see, newest first."""

    tombstones: list[dict[str, Any]]


@endpoint("GET", "tombstones", action=SIGNED_IN, summary="What a clean-up removed.", answers={200: TombstoneList})
async def list_tombstones(call: Call) -> Answer:
    """List tombstones of the caller's teams, of one `?application=` if it is named; readers of everything see all."""
    wanted, now = call.query.get("application", ""), datetime.now(UTC)
    found = [
        record
        async for record in tombstones.every()
        if record.state is not TombstoneState.PREPARED and wanted in ("", record.application) and _sees(call, record)
    ]
    found.sort(key=lambda record: (record.removed_at, record.id), reverse=True)
    return Answer(200, {"tombstones": [_view(call, record, now) for record in found]})


@endpoint(
    "POST",
    "tombstones/{tombstone}/restore",
    action=OPERATE,
    summary="Bring back what a clean-up removed.",
    answers={202: AcceptedOperation},
)
async def restore_tombstone(call: Call) -> Answer:
    """Ask for the Day-2 operation that brings it back: however often it is asked for, it is one operation."""
    record = await _visible(call)
    authorisation.require(call.caller, OPERATE, _subject(record))
    why = clean_up.why_not_restored(record, datetime.now(UTC))
    if why and record.state is not TombstoneState.RESTORED:
        detail = f"{record.id} cannot be brought back: {why}."
        raise RequestRejectedError("not-restorable", detail, status=409)
    asked = AskedOperation(
        operation=clean_up.RESTORE,
        application=record.application,
        parameters={"tombstone": record.id},
        occasion=Occasion.REQUEST,
        business_key=f"{clean_up.RESTORE}/{record.id}",
        requester=call.caller.id,
        requester_name=call.caller.name,
    )
    operation = await accept(call.client, asked)
    document = AcceptedOperation(id=operation.id, state=operation.state, links={"self": place(operation)})
    return Answer(202, document.document(), {"Location": place(operation)})


async def _visible(call: Call) -> TombstoneRecord:
    """The tombstone of the path, if the caller may see it; otherwise it does not exist for the caller."""
    identifier = call.params.get("tombstone", "")
    found = await tombstones.find_anywhere(identifier) if re.fullmatch(r"tmb-[0-9a-f]{12}", identifier) else None
    if found is None or found.state is TombstoneState.PREPARED or not _sees(call, found):
        raise RequestRejectedError("unknown-tombstone", f"There is no tombstone {identifier}.", status=404)
    return found


def _sees(call: Call, record: TombstoneRecord) -> bool:
    return authorisation.why_not(call.caller, SEE, _subject(record)) is None


def _subject(record: TombstoneRecord) -> Subject:
    return Subject("", record.owner_team)


def _view(call: Call, record: TombstoneRecord, now: datetime) -> dict[str, Any]:
    may = (
        clean_up.why_not_restored(record, now) is None
        and authorisation.why_not(call.caller, OPERATE, _subject(record)) is None
    )
    return {
        "id": record.id,
        "application": record.application,
        "environment": record.environment,
        "resource": record.resource,
        "kind": record.kind,
        "policy": record.policy,
        "state": record.state,
        "digest": record.digest,
        "loses": record.loses,
        "removedAt": record.removed_at,
        "keepUntil": record.keep_until,
        "restoredAt": record.restored_at,
        "operation": record.operation_id,
        "allowedActions": ["restore"] if may else [],
        "links": {"restore": f"{base()}/tombstones/{record.id}/restore"} if may else {},
    }
