"""Backups of an application's databases, beside those that Azure takes by itself."""

from activities._activity import activity, look
from activities._guarded import Done, UnderWayError, carry_out, keep_survey
from activities._restores import asked, stages_of
from shared import tagging
from shared.clients import postgresql_servers
from shared.clients.postgresql_servers import ProtectedServer
from shared.guard import Permit
from shared.models.operations import (
    ActionRecord,
    OperationRecord,
    PlannedAction,
    PlannedCall,
    Survey,
    Wave,
    WaveResult,
)
from shared.models.runs import ActivityInput, Effect
from shared.plan import group_of

_ARM = "https://management.azure.com"


@look
async def list_backup_targets(data: ActivityInput) -> Effect:
    """Plan a backup of each database server.

    Idempotency: reads at the vendor; the planned actions are written over those of an earlier survey.
    """
    record, request = await asked(data)
    actions = [
        _backup(record, stage, server)
        for stage in stages_of(record, request)
        for server in await postgresql_servers.list_servers(group_of(request, stage))
    ]
    summary = f"{len(actions)} servers to back up"
    return await keep_survey(data, Survey(actions=actions, scanned=len(actions), summary=summary))


def _backup(record: OperationRecord, environment: str, server: ProtectedServer) -> PlannedAction:
    return PlannedAction(
        key=server.id.lower(),
        rule="back-up",
        kind="backup",
        target=server.id,
        environment=environment,
        owned_by=tagging.owner_of(server.tags),
        summary=f"back up {server.name}",
        calls=[PlannedCall(method="PUT", target=f"{_ARM}{server.id}/backups/{record.id}")],
        facts={"name": record.id},
    )


@activity
async def ensure_backups(data: Wave) -> WaveResult:
    """Take the backups that were planned.

    Idempotency: a backup has the operation's name; one that is there is not taken again.
    """
    return await carry_out(data, _back_up)


async def _back_up(row: ActionRecord, permit: Permit) -> Done:
    server, name = row.action.target, row.action.facts["name"]
    if name not in await postgresql_servers.list_backups(server):
        await postgresql_servers.start_backup(server, name, permit)
    completed = (await postgresql_servers.list_backups(server)).get(name)
    if not completed:
        raise UnderWayError(f"the backup {name} still runs")
    return Done(detail=f"completed {completed}", result={"completedAt": completed})
