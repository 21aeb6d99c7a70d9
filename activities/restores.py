"""Restores to a place apart, of everything that keeps data: planned, made, and held against their sources.

The activities are called servers after what came first; running histories hold their names (docs/adr/0048).
"""

from datetime import UTC, datetime

from activities._activity import activity, look
from activities._guarded import Done, carry_out, keep_survey
from activities._restores import (
    DRILL,
    RESTORABLES,
    Found,
    Restorable,
    Wish,
    asked,
    group_apart,
    stages_of,
    surrounded,
    text_of,
)
from shared.clock import utc_now
from shared.guard import Permit
from shared.models.backups import DataKind, DrillRecord
from shared.models.day2_backups import Check, Checked, Restore
from shared.models.operations import ActionRecord, OperationRecord, Survey, Wave, WaveResult
from shared.models.runs import ActivityInput, Effect
from shared.plan import group_of
from shared.protection.databases import NEWEST
from shared.register import drills, operations


@look
async def list_restores(data: ActivityInput) -> Effect:
    """Plan to restore into a group of its own, where nothing else is and nobody has access yet.

    A drill restores everything that keeps data; a restore for the team the databases.

    Idempotency: reads at the vendor; the planned actions are written over those of an earlier survey.
    """
    record, request = await asked(data)
    wanted = Restore.model_validate(record.parameters).point_in_time
    moment = wanted.astimezone(UTC) if wanted else datetime.now(UTC) - NEWEST
    all_found = Found()
    for stage in stages_of(record, request):
        wish = Wish(record, stage, group_of(request, stage), group_apart(record, request, stage), moment)
        for kind in _kinds(record):
            all_found.add(await kind.plan(wish))
    survey = Survey(
        actions=surrounded(record, all_found),
        scanned=all_found.scanned,
        unreadable=all_found.unreadable,
        summary=f"{len(all_found.actions)} resources to restore to {text_of(moment)}",
        facts={"pointInTime": text_of(moment)},
    )
    return await keep_survey(data, survey)


def _kinds(record: OperationRecord) -> list[Restorable]:
    if record.operation == DRILL:
        return list(RESTORABLES.values())
    return [RESTORABLES[DataKind.DATABASE]]


@activity
async def ensure_restored_servers(data: Wave) -> WaveResult:
    """Restore what was planned, and wait until it is ready; a drill is noted before anything of it is made.

    Idempotency: everything has the operation's names; what is there is only looked at.
    """
    return await carry_out(data, _restored)


async def _restored(row: ActionRecord, permit: Permit) -> Done:
    record = await operations.get(permit.action.owner, row.operation_id)
    if record.operation == DRILL:
        begun = _begun(record, row)
        await drills.write(begun, lambda old: begun if old.removed_at else old)
    return Done(detail=await RESTORABLES[DataKind(row.action.kind)].restore(row.action, permit))


def _begun(record: OperationRecord, row: ActionRecord) -> DrillRecord:
    """The drill before anything of it is there: whatever becomes of it, a timer knows what to take away."""
    return DrillRecord(
        application=record.application,
        environment=str(row.action.environment),
        operation=record.id,
        resource=row.action.facts["source"],
        kind=DataKind(row.action.kind),
        place=row.action.facts["group"],
        begun_at=utc_now(),
    )


@look
async def read_restored_servers(data: ActivityInput) -> Checked:
    """Check what was restored against its source.

    Idempotency: reads only.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    checks: list[Check] = []
    async for row in operations.actions(record.application, record.id):
        checks += await RESTORABLES[DataKind(row.action.kind)].check(row.action)
    failed = [check.name for check in checks if not check.passed]
    return Checked(checks=checks, detail=f"{len(checks) - len(failed)} of {len(checks)} checks passed")
