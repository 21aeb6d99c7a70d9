"""What a drill found is kept, and what it restored is taken away, however often that has to be tried."""

from functools import partial

from activities._activity import look
from activities._restores import OWNER, asked, group_apart, stages_of
from shared import shields
from shared.clients import resources
from shared.clock import utc_now
from shared.errors import NotFoundError, PermanentIntegrationError, RequestRejectedError
from shared.guard import REMOVE_DRILL, Action
from shared.log import redact
from shared.models.backups import DataKind, DrillRecord
from shared.models.day2_backups import REMOVAL, Check, DrillEnd
from shared.models.operations import RUNNING_STATES, OperationRecord
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
    count = 0
    async for row in operations.actions(record.application, record.id):
        place = row.action.target.rpartition("/")[2]
        checks = [check for check in data.checks if check.name.startswith(f"{place}: ")]
        if not checks:
            checks = [Check(name=f"{place}: restored", passed=False, detail=row.detail or data.stopped)]
        found = DrillRecord(
            application=record.application,
            environment=str(row.action.environment),
            operation=record.id,
            resource=row.action.facts["source"],
            kind=DataKind(row.action.kind),
            place=row.action.facts["group"],
            begun_at=data.begun_at,
            ended_at=data.ended_at,
            passed=all(check.passed for check in checks),
            checks=checks,
            rto_seconds=data.rto_seconds,
            rpo_seconds=data.rpo_seconds,
        )
        await drills.write(found, partial(_again, found))
        count += 1
    return Effect(detail=f"{count} resources drilled")


def _again(found: DrillRecord, old: DrillRecord) -> DrillRecord:
    """The drill as it was found, of which everything may be removed already."""
    return found.model_copy(update={"removed_at": old.removed_at, "kept": old.kept})


@look
async def remove_restored_servers(data: ActivityInput) -> Settled:
    """Remove the groups that a drill made, whatever became of it; a group with anything else in it stays.

    Why something stays is written into the drill's rows; a timer tries again until nothing is left.

    Idempotency: absent is success.
    """
    record, request = await asked(data)
    if data.run.branch == REMOVAL and record.state in RUNNING_STATES:
        return Settled(detail="the drill is at work again, and removes what it makes")
    try:
        for stage in stages_of(record, request):
            group = group_apart(record, request, stage)
            owner = await _owner(group, record)
            if owner is None:
                continue
            action = Action(REMOVE_DRILL, "resource group", group, record.id, stage)
            locked = await resources.is_locked(group)
            allowed = await shields.allow(action, application=record.application, owned_by=owner, locked=locked)
            if not await resources.delete_group(group, allowed):
                await _tell(record, f"{group} is still being deleted")
                return Settled(busy=f"{group} is still being deleted")
    except (RequestRejectedError, PermanentIntegrationError) as error:
        await _tell(record, redact(str(error))[:500])
        raise
    await _tell(record, "")
    return Settled(detail="nothing of the drill is left")


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


async def _tell(record: OperationRecord, kept: str) -> None:
    """Write into the drill's rows why something is left of it, or that nothing is."""
    gone = None if kept else utc_now()
    for drill in await drills.of_operation(record.application, record.id):
        await drills.write(
            drill, lambda old: old.model_copy(update={"removed_at": old.removed_at or gone, "kept": kept})
        )
