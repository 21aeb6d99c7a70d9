"""Removals: what was marked and announced, had its days, and is still used by nothing; with a tombstone, in order."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from activities._activity import activity, look
from activities._guarded import Done, UnderWayError, carry_out, keep_survey
from shared import clean_up, tagging
from shared.canonical import canonical_json, sha256_hex
from shared.clean_up_filters import UnreadableResourceError
from shared.clean_up_kinds import SNAPSHOT_VERSION, Kind, configuration_of, kind_of
from shared.clean_up_rules import clean_up_policies
from shared.clients import blobs, resources
from shared.clients.removable import delete_resource, put_resource, read_resource
from shared.clock import utc_now
from shared.errors import PermanentIntegrationError, VendorCall
from shared.guard import Permit
from shared.guard_rules import guard_rule
from shared.models.clean_up import OrphanRecord, OrphanState, TombstoneRecord, TombstoneState
from shared.models.operations import (
    RUNNING_STATES,
    ActionRecord,
    PlannedAction,
    PlannedCall,
    Survey,
    Wave,
    WaveResult,
)
from shared.models.runs import ActivityInput, Effect
from shared.register import operations, orphans, tombstones
from shared.register.audit import Entry
from shared.sweeps import Sweep, sweep_of

_REMOVE, _FORGET = "remove", "forget"
_OPERATION_TAG = "appstore-operation"


@look
async def list_removals(data: ActivityInput) -> Effect:
    """Plan the removal of what is due, each read anew from Azure: what uses what is put in order, first the user.

    Idempotency: reads at the vendor; the planned actions are written over those of an earlier survey.
    """
    sweep = await sweep_of(data)
    marked = [orphan for orphan in (await sweep.orphans()).values() if orphan.state is OrphanState.MARKED]
    taken, actions, unreadable = await _planned_elsewhere(sweep), list[PlannedAction](), list[str]()
    for orphan in marked:
        if orphan.resource.lower() in taken:
            continue
        try:
            actions += await _planned(sweep, orphan)
        except UnreadableResourceError as error:
            unreadable.append(f"{orphan.resource}: {error}")
    actions.sort(key=lambda action: (action.facts["order"], action.target.lower()))
    over = [_forgotten(item) async for item in tombstones.of_application(sweep.application.name) if _over(sweep, item)]
    survey = Survey(
        actions=[*actions, *over],
        scanned=len(marked) + len(over),
        unreadable=unreadable,
        summary=f"{len(actions)} of {len(marked)} marked resources to remove, {len(over)} snapshots to forget",
    )
    return await keep_survey(data, survey)


async def _planned_elsewhere(sweep: Sweep) -> set[str]:
    """What another removal of the application already plans, for example one that waits for a person."""
    others = [
        record
        for record in await operations.of_application(sweep.application.name)
        if record.operation == clean_up.REMOVE and record.id != sweep.operation.id and record.state in RUNNING_STATES
    ]
    return {
        row.action.target.lower()
        for record in others
        async for row in operations.actions(record.application, record.id)
    }


async def _planned(sweep: Sweep, orphan: OrphanRecord) -> list[PlannedAction]:
    kind = kind_of(orphan.kind)
    document = await read_resource(orphan.resource, kind.version)
    if document is None:
        return []
    said = clean_up.judge(sweep.policies, document, sweep.at, orphan)
    if said.policy is None or not said.removed_by:
        return []
    identifier = tombstone_id(orphan)
    snapshot = _snapshot_of(orphan, identifier) if kind.has_data else ""
    body = _snapshot_body(document, identifier, sweep.operation.id)
    calls = [PlannedCall(method="PUT", target=snapshot, body=body)] if snapshot else []
    return [
        PlannedAction(
            key=f"{_REMOVE}:{orphan.resource.lower()}",
            rule=clean_up.REMOVE,
            kind=kind.type,
            target=orphan.resource,
            environment=orphan.environment,
            owned_by=tagging.owner_of(document.get("tags")) or sweep.application.name,
            summary=f"remove it ({said.removed_by}); {'it loses ' + kind.loses if kind.loses else 'it can come back'}",
            calls=[*calls, PlannedCall(method="DELETE", target=orphan.resource)],
            destructive=True,
            reversible=not kind.loses,
            facts={"do": _REMOVE, "order": kind.order, "at": sweep.at.isoformat(), "policy": said.removed_by},
        )
    ]


def _over(sweep: Sweep, record: TombstoneRecord) -> bool:
    """Whether a tombstone's time is over, and its snapshot still costs money."""
    kept = record.state is not TombstoneState.FORGOTTEN and bool(record.snapshot)
    return kept and record.environment in sweep.groups and datetime.fromisoformat(record.keep_until) <= sweep.at


def _forgotten(record: TombstoneRecord) -> PlannedAction:
    return PlannedAction(
        key=f"{_FORGET}:{record.id}",
        rule=clean_up.REMOVE,
        kind="snapshot of a tombstone",
        target=record.snapshot,
        environment=record.environment,
        owned_by=record.application,
        summary=f"remove the snapshot of {record.id}: its time is over",
        calls=[PlannedCall(method="DELETE", target=record.snapshot)],
        destructive=True,
        reversible=False,
        facts={"do": _FORGET, "tombstone": record.id},
    )


@activity
async def remove_orphans(data: Wave) -> WaveResult:
    """Remove what was planned: a tombstone first, with everything that is needed to bring it back, then the resource.

    Idempotency: the tombstone's name is derived from the resource and its mark, so that a repeat finds it; what is gone
    is not removed again, and what is used again stays.
    """
    run = data.run

    async def work(row: ActionRecord, permit: Permit) -> Done:
        if row.action.facts["do"] == _FORGET:
            return await _forget(run.application, row, permit)
        return await _remove(run.application, row, permit)

    return await carry_out(data, work, lambda planned: resources.is_locked(planned.target))


@dataclass(frozen=True)
class _Removal:
    """One removal: what goes, why, and the row that says so."""

    row: ActionRecord
    orphan: OrphanRecord
    kind: Kind
    tombstone: str


async def _remove(application: str, row: ActionRecord, permit: Permit) -> Done:
    orphan = await orphans.find(application, row.action.target)
    if orphan is None:
        return await _buried_before(application, row)
    removal = _Removal(row, orphan, kind_of(orphan.kind), tombstone_id(orphan))
    document = await read_resource(orphan.resource, removal.kind.version)
    if document is None:
        return await _bury(removal)
    if not _is_leaving(document) and not _still_means_it(removal, document):
        return Done(detail="it is used again", gone=True)
    record = await _prepare(removal, document)
    if record.snapshot:
        await _snapshot(record, document, permit)
    if not await delete_resource(orphan.resource, removal.kind.version, permit):
        raise UnderWayError(f"{orphan.resource} is being deleted")
    return await _bury(removal)


def _is_leaving(document: dict[str, Any]) -> bool:
    return str((document.get("properties") or {}).get("provisioningState")) == "Deleting"


def _still_means_it(removal: _Removal, document: dict[str, Any]) -> bool:
    """The index may be minutes old, and so may the survey: what counts is the resource at this moment."""
    at = datetime.fromisoformat(removal.row.action.facts["at"])
    said = clean_up.judge(clean_up_policies(), document, at, removal.orphan)
    return bool(said.policy and said.removed_by)


async def _prepare(removal: _Removal, document: dict[str, Any]) -> TombstoneRecord:
    """Write everything down that brings it back. What is being deleted already was written down before."""
    orphan = removal.orphan
    known = await tombstones.find(orphan.application, removal.tombstone)
    if known is not None and _is_leaving(document):
        return known
    content = canonical_json(configuration_of(document, removal.kind, orphan.tag))
    digest = sha256_hex(content)
    name = f"tombstones/{removal.tombstone}/{digest}.json"
    await blobs.write_document(name, content)
    operation = await operations.get(orphan.application, removal.row.operation_id)
    now = datetime.now(UTC)
    record = TombstoneRecord(
        id=removal.tombstone,
        application=orphan.application,
        environment=orphan.environment,
        owner_team=operation.owner_team,
        resource=str(document["id"]),
        kind=removal.kind.type,
        policy=removal.row.action.facts["policy"],
        blob=name,
        digest=digest,
        snapshot=_snapshot_of(orphan, removal.tombstone) if removal.kind.has_data else "",
        loses=removal.kind.loses,
        operation_id=removal.row.operation_id,
        removed_at=known.removed_at if known else utc_now(),
        keep_until=(now + timedelta(days=guard_rule(clean_up.REMOVE).undo_days)).isoformat(timespec="seconds"),
    )
    return await tombstones.prepare(record)


async def _snapshot(record: TombstoneRecord, document: dict[str, Any], permit: Permit) -> None:
    """Take a snapshot of the data and wait for it; one of an earlier, failed removal may be older than the data.

    Raises:
        UnderWayError: it is not complete yet.
        PermanentIntegrationError: it failed; what is left of it is removed, so that another try takes another one.
    """
    found = await read_resource(record.snapshot, SNAPSHOT_VERSION)
    if found is not None and (found.get("tags") or {}).get(_OPERATION_TAG) != record.operation_id:
        if not await delete_resource(record.snapshot, SNAPSHOT_VERSION, permit):
            raise UnderWayError(f"the older snapshot {record.snapshot} is being deleted")
        found = None
    if found is None:
        body = _snapshot_body(document, record.id, record.operation_id)
        found = await put_resource(record.snapshot, SNAPSHOT_VERSION, body, permit)
    properties = found.get("properties") or {}
    if properties.get("provisioningState") == "Failed":
        await delete_resource(record.snapshot, SNAPSHOT_VERSION, permit)
        detail = f"the snapshot {record.snapshot} failed: {record.resource} stays"
        raise PermanentIntegrationError(VendorCall("azure resource manager", "take snapshot", 200), detail)
    if properties.get("provisioningState") != "Succeeded" or properties.get("completionPercent", 100) < 100:  # noqa: PLR2004 - per cent
        raise UnderWayError(f"the snapshot {record.snapshot} is being taken")


def _snapshot_of(orphan: OrphanRecord, identifier: str) -> str:
    group = "/".join(orphan.resource.split("/")[:5])
    return f"{group}/providers/Microsoft.Compute/snapshots/appstore-{identifier}"


def _snapshot_body(document: dict[str, Any], identifier: str, operation: str) -> dict[str, Any]:
    source = {"createOption": "Copy", "sourceResourceId": document["id"]}
    owner = {name: value for name, value in (document.get("tags") or {}).items() if name.lower() == tagging.OWNER_TAG}
    return {
        "location": document["location"],
        "tags": {**owner, "appstore-tombstone": identifier, _OPERATION_TAG: operation},
        "properties": {"creationData": source, "incremental": True},
    }


async def _bury(removal: _Removal) -> Done:
    """It is gone: the tombstone stands, the orphan is forgotten. Without a tombstone somebody else removed it."""
    orphan = removal.orphan
    record = await tombstones.find(orphan.application, removal.tombstone)
    if record is None:
        await orphans.change(orphan.application, orphan.resource, lambda _: None)
        return Done(detail="somebody else removed it", gone=True)
    detail = f"{orphan.resource} removed ({record.policy}); {record.id} keeps it until {record.keep_until}"
    entry = Entry(f"{record.id}:removed", utc_now(), "appstore", "clean-up", record.operation_id, detail[:1000])
    await tombstones.settle(record, lambda old: old.model_copy(update={"state": TombstoneState.KEPT}), entry)
    return _buried(record)


async def _buried_before(application: str, row: ActionRecord) -> Done:
    """There is no orphan: an earlier try of this very removal ended it, or somebody uses it again."""
    async for record in tombstones.of_application(application):
        ours = (record.operation_id, record.resource.lower()) == (row.operation_id, row.action.target.lower())
        if ours and record.state is not TombstoneState.PREPARED:
            return _buried(record)
    return Done(detail="it is no orphan any more", gone=True)


def _buried(record: TombstoneRecord) -> Done:
    return Done(detail=f"removed; {record.id} can bring it back", result={"tombstone": record.id})


async def _forget(application: str, row: ActionRecord, permit: Permit) -> Done:
    record = await tombstones.find(application, row.action.facts["tombstone"])
    if record is None or record.state is TombstoneState.FORGOTTEN:
        return Done(gone=True)
    if not await delete_resource(record.snapshot, SNAPSHOT_VERSION, permit):
        raise UnderWayError(f"{record.snapshot} is being deleted")
    entry = Entry(
        f"{record.id}:forgotten", utc_now(), "appstore", "forget", row.operation_id, f"{record.snapshot} removed"
    )
    await tombstones.settle(record, lambda old: old.model_copy(update={"state": TombstoneState.FORGOTTEN}), entry)
    return Done(detail=row.action.summary)


def tombstone_id(orphan: OrphanRecord) -> str:
    """Id of the tombstone of this removal: the same resource, marked again another day, gets another one."""
    text = f"{orphan.application}\x00{orphan.resource.lower()}\x00{orphan.marked_on}"
    return f"tmb-{sha256_hex(text.encode())[:12]}"
