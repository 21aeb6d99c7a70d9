"""What a drill found is kept, and what it restored is taken away, however often that has to be tried."""

from datetime import datetime
from functools import partial

from activities._activity import look
from activities._restores import OWNER, asked, group_apart, stages_of
from shared import shields
from shared.clients import resources, vaults
from shared.clients.vaults import DeletedVault
from shared.clock import utc_now
from shared.errors import NotFoundError, PermanentIntegrationError, RequestRejectedError
from shared.guard import REMOVE_DRILL, Action
from shared.log import redact
from shared.models.backups import DataKind, DrillRecord
from shared.models.day2_backups import REMOVAL, Check, DrillEnd
from shared.models.operations import RUNNING_STATES, ActionRecord, ActionState, OperationRecord
from shared.models.runs import ActivityInput, Effect
from shared.models.undo import Settled
from shared.register import drills, operations

_NAMED = 5


@look
async def note_drill(data: DrillEnd) -> Effect:
    """Write down for each resource what its drill found and measured; coverage and the next due date go by it.

    Idempotency: one row for each drill and resource, written over by the same drill.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    began = {drill.resource: drill.begun_at for drill in await drills.of_operation(record.application, record.id)}
    count = 0
    async for row in operations.actions(record.application, record.id):
        place, source = row.action.target.rpartition("/")[2], row.action.facts["source"]
        checks = [check for check in data.checks if check.name.startswith(f"{place}: ")]
        if not checks:
            checks = [Check(name=f"{place}: restored", passed=False, detail=row.detail or data.stopped)]
        found = DrillRecord(
            application=record.application,
            environment=str(row.action.environment),
            operation=record.id,
            resource=source,
            kind=DataKind(row.action.kind),
            place=row.action.facts["group"],
            begun_at=began.get(source, data.begun_at),
            ended_at=data.ended_at,
            passed=all(check.passed for check in checks),
            checks=checks,
            rto_seconds=_recovery(row, began.get(source), data),
            rpo_seconds=None if row.action.kind == DataKind.VAULT else data.rpo_seconds,  # Azure takes no backups of it
        )
        await drills.write(found, partial(_again, found))
        count += 1
    return Effect(detail=f"{count} resources drilled")


def _recovery(row: ActionRecord, began: str | None, data: DrillEnd) -> int | None:
    """How long this resource took: the others of the drill have their turns before and after it."""
    if data.rto_seconds is None or began is None or row.state is not ActionState.DONE:
        return data.rto_seconds
    took = datetime.fromisoformat(row.updated_at) - datetime.fromisoformat(began)
    return round(took.total_seconds())


def _again(found: DrillRecord, old: DrillRecord) -> DrillRecord:
    """The drill as it was found, of which everything may be removed already."""
    return found.model_copy(update={"removed_at": old.removed_at, "kept": old.kept, "residue": old.residue})


@look
async def remove_restored_servers(data: ActivityInput) -> Settled:
    """Remove the groups that a drill made, whatever became of it; a group with anything else in it stays.

    Why something stays is written into the drill's rows; a timer tries again until nothing is left.

    Idempotency: absent is success.
    """
    record, request = await asked(data)
    if data.run.branch == REMOVAL and record.state in RUNNING_STATES:
        return Settled(detail="the drill is at work again, and removes what it makes")
    residue: list[str] = []
    try:
        for stage in stages_of(record, request):
            group = group_apart(record, request, stage)
            owner = await _owner(group, record)
            if owner is not None:
                action = Action(REMOVE_DRILL, "resource group", group, record.id, stage)
                locked = await resources.is_locked(group)
                allowed = await shields.allow(action, application=record.application, owned_by=owner, locked=locked)
                if not await resources.delete_group(group, allowed):
                    return await _busy(record, f"{group} is still being deleted")
            for vault in await _deleted_vaults(record, group):
                if vault.properties.purge_protection_enabled:
                    residue.append(_stays(vault))
                    continue
                busy = f"the deleted vault {vault.name} is being purged"
                if data.run.branch == REMOVAL or not await _is_told(record, busy):
                    action = Action(REMOVE_DRILL, "deleted key vault", vault.id, record.id, stage)
                    owner = (vault.properties.tags or {}).get(OWNER)
                    allowed = await shields.allow(action, application=record.application, owned_by=owner)
                    await vaults.purge_vault(vault, allowed)
                return await _busy(record, busy)
    except (RequestRejectedError, PermanentIntegrationError) as error:
        await _tell(record, kept=redact(str(error))[:500])
        raise
    await _tell(record, residue="; ".join(residue), removed_at=utc_now())
    return Settled(detail="; ".join(["nothing of the drill is left", *residue]))


async def _deleted_vaults(record: OperationRecord, group: str) -> list[DeletedVault]:
    """The drill's vaults that Azure still keeps, although their group is gone; one that made none has none."""
    rows = await drills.of_operation(record.application, record.id)
    if not any(row.kind is DataKind.VAULT for row in rows):
        return []
    found = await vaults.list_deleted(group.split("/")[2])
    return [vault for vault in found if (vault.properties.tags or {}).get(OWNER) == record.id]


def _stays(vault: DeletedVault) -> str:
    until = vault.properties.scheduled_purge_date
    return f"the deleted vault {vault.name} is protected from being purged; Azure removes it at {until}"


async def _busy(record: OperationRecord, why: str) -> Settled:
    await _tell(record, kept=why)
    return Settled(busy=why)


async def _is_told(record: OperationRecord, why: str) -> bool:
    return any(drill.kept == why for drill in await drills.of_operation(record.application, record.id))


async def _owner(group: str, record: OperationRecord) -> str | None:
    """The operation that a group says it belongs to, empty when it does not say; None when there is no such group.

    Raises:
        RequestRejectedError: something in it is not the operation's.
    """
    try:
        tags = await resources.read_tags(group)
        found = [item async for item in resources.list_resources(group)]
    except NotFoundError:
        return None
    foreign = [item.name for item in found if (item.tags or {}).get(OWNER) != record.id]
    if foreign:
        detail = f"resource group {group} stays: what is in it was not made by the drill: {', '.join(foreign[:_NAMED])}"
        raise RequestRejectedError("guard-refused", detail, status=409)
    return tags.get(OWNER, "")


async def _tell(record: OperationRecord, *, kept: str = "", residue: str = "", removed_at: str | None = None) -> None:
    """Write into the drill's rows why something is left of it, or since when nothing is."""
    for drill in await drills.of_operation(record.application, record.id):

        def told(old: DrillRecord) -> DrillRecord:
            return old.model_copy(
                update={"removed_at": old.removed_at or removed_at, "kept": kept, "residue": residue or old.residue}
            )

        await drills.write(drill, told)
