"""Bringing back what was removed: the same configuration, byte for byte, and the data of its snapshot."""

import json
from datetime import UTC, datetime
from typing import Any

from activities._activity import activity, look
from activities._guarded import Done, UnderWayError, carry_out, keep_survey
from shared import clean_up
from shared.canonical import canonical_json, sha256_hex
from shared.clean_up_kinds import Kind, configuration_of, kind_of
from shared.clients import blobs
from shared.clients.removable import put_resource, read_resource
from shared.clock import utc_now
from shared.errors import ConflictError, NotFoundError, PermanentIntegrationError, VendorCall
from shared.guard import Permit
from shared.models.clean_up import RestoreTombstone, TombstoneRecord, TombstoneState
from shared.models.operations import ActionRecord, PlannedAction, PlannedCall, Survey, Wave, WaveResult
from shared.models.runs import ActivityInput, Effect
from shared.register import operations, tombstones
from shared.register.audit import Entry


@look
async def list_restorations(data: ActivityInput) -> Effect:
    """Plan the one call that brings back what a tombstone keeps.

    Idempotency: reads only; the planned action is written over that of an earlier survey.
    """
    operation = await operations.get(data.run.application, data.run.request_id)
    wanted = RestoreTombstone.model_validate(operation.parameters)
    record = await tombstones.find(operation.application, wanted.tombstone)
    why = clean_up.why_not_restored(record, datetime.now(UTC))
    if record is None or why:
        return await keep_survey(data, Survey(unreadable=[f"{wanted.tombstone}: {why}"]))
    body = await _body(record)
    action = PlannedAction(
        key=record.id,
        rule=clean_up.RESTORE,
        kind=record.kind,
        target=record.resource,
        environment=record.environment,
        owned_by=record.application,
        summary=f"bring it back; it loses {record.loses}" if record.loses else "bring it back",
        calls=[PlannedCall(method="PUT", target=record.resource, body=body)],
        facts={"tombstone": record.id},
    )
    return await keep_survey(data, Survey(actions=[action], scanned=1, summary=f"bring back {record.resource}"))


async def _body(record: TombstoneRecord) -> dict[str, Any]:
    """What was exported; of a disk with the snapshot that it is made of."""
    configuration: dict[str, Any] = json.loads(await blobs.read_document(record.blob))
    if not record.snapshot:
        return configuration
    made_of = {"createOption": "Copy", "sourceResourceId": record.snapshot}
    return {**configuration, "properties": {**configuration["properties"], "creationData": made_of}}


async def _put(record: TombstoneRecord, kind: Kind, permit: Permit) -> dict[str, Any]:
    """Put it there. That its group is gone is a failure: nothing left to do is said of what should be gone only."""
    try:
        return await put_resource(record.resource, kind.version, await _body(record), permit)
    except NotFoundError as error:
        raise PermanentIntegrationError(error.call, f"there is no place for it any more: {error}") from error


@activity
async def ensure_restored_resource(data: Wave) -> WaveResult:
    """Put the resource where it was, and hold what is there against the tombstone.

    Idempotency: what is there and has the tombstone's digest is not written again; something else is left alone.
    """
    application = data.run.application

    async def work(row: ActionRecord, permit: Permit) -> Done:
        return await _restore(application, row, permit)

    return await carry_out(data, work)


async def _restore(application: str, row: ActionRecord, permit: Permit) -> Done:
    record = await tombstones.find(application, row.action.facts["tombstone"])
    assert record is not None, "the survey saw it, and tombstones stay"  # noqa: S101 - nothing deletes them
    kind = kind_of(record.kind)
    found = await read_resource(record.resource, kind.version)
    if found is None:
        found = await _put(record, kind, permit)
    if (found.get("properties") or {}).get("provisioningState", "Succeeded") not in ("Succeeded", "Failed"):
        raise UnderWayError(f"{record.resource} is being made")
    digest = sha256_hex(canonical_json(configuration_of(found, kind)))
    if digest != record.digest:
        detail = f"what is at {record.resource} is not what {record.id} keeps: {digest[:12]} and {record.digest[:12]}"
        raise ConflictError(VendorCall("azure resource manager", "restore", 200), detail)
    entry = Entry(f"{record.id}:restored", utc_now(), "appstore", "restore", row.operation_id, record.resource)
    back = {"state": TombstoneState.RESTORED, "restored_at": utc_now()}
    await tombstones.settle(record, lambda old: old.model_copy(update=back), entry)
    return Done(detail=f"back, with the digest {digest[:12]}")
