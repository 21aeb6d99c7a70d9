"""Backups of an application's databases: taken, restored to a place apart, checked, and that place removed again."""

from datetime import UTC, datetime, timedelta
from functools import partial

from activities._activity import activity, look
from activities._guarded import Done, UnderWayError, carry_out, keep_survey
from shared import shields, tagging
from shared.clients import postgresql_servers, resources
from shared.clients.postgresql_servers import ProtectedServer
from shared.clock import utc_now
from shared.errors import NotFoundError, PermanentIntegrationError, VendorCall
from shared.guard import Action, Permit
from shared.models.backups import DataKind, DrillRecord
from shared.models.day2_backups import Check, Checked, DrillEnd, Restore
from shared.models.operations import (
    ActionRecord,
    OperationRecord,
    PlannedAction,
    PlannedCall,
    Survey,
    Wave,
    WaveResult,
)
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Effect
from shared.models.undo import Settled
from shared.plan import group_of, zone_of
from shared.register import drills, operations, requests

_ARM = "https://management.azure.com"
_NEWEST = timedelta(minutes=5)  # what was written in the last minutes is not in the backups yet
_PLACE = "azure resource manager"
_DRILL = "drill-restore"  # what it restored is removed again
_READY, _BROKEN = "Ready", frozenset({"Dropping", "Disabled", "Inaccessible"})


@look
async def list_backup_targets(data: ActivityInput) -> Effect:
    """Plan a backup of each database server.

    Idempotency: reads at the vendor; the planned actions are written over those of an earlier survey.
    """
    record, request = await _asked(data)
    servers = await _servers(record, request)
    actions = [_backup(record, environment, server) for environment, server in servers]
    summary = f"{len(actions)} servers to back up"
    return await keep_survey(data, Survey(actions=actions, scanned=len(servers), summary=summary))


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


@look
async def list_restores(data: ActivityInput) -> Effect:
    """Plan to restore each database server into a group of its own, where nothing else is and nobody has access yet.

    Idempotency: reads at the vendor; the planned actions are written over those of an earlier survey.
    """
    record, request = await _asked(data)
    asked = Restore.model_validate(record.parameters).point_in_time
    moment = asked.astimezone(UTC) if asked else datetime.now(UTC) - _NEWEST
    servers = await _servers(record, request)
    unreadable = [reason for _, server in servers if (reason := _too_early(server, moment))]
    actions = [
        _restore(record, request, environment, server, _text(moment))
        for environment, server in servers
        if not _too_early(server, moment)
    ]
    survey = Survey(
        actions=actions,
        scanned=len(servers),
        unreadable=unreadable,
        summary=f"{len(actions)} servers to restore to {_text(moment)}",
        facts={"pointInTime": _text(moment)},
    )
    return await keep_survey(data, survey)


def _too_early(server: ProtectedServer, moment: datetime) -> str | None:
    earliest = server.properties.backup.earliest_restore_date
    if earliest and moment < datetime.fromisoformat(earliest):
        return f"{server.name}: nothing before {earliest} can be restored"
    return None


def _restore(
    record: OperationRecord, request: RequestRecord, environment: str, server: ProtectedServer, moment: str
) -> PlannedAction:
    group = _apart(record, request, environment)
    target = f"{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/{_restored_name(server.name, record.id)}"
    body = postgresql_servers.restore_of(server.id, server.location, moment, _tags(record, environment))
    return PlannedAction(
        key=server.id.lower(),
        rule=record.operation,
        kind="database server",
        target=target,
        environment=environment,
        owned_by=tagging.owner_of(server.tags),
        summary=f"restore {server.name} as it was at {moment}",
        calls=[
            PlannedCall(
                method="PUT", target=f"{_ARM}{group}", body=resources.group_with(server.location, body["tags"])
            ),
            PlannedCall(method="PUT", target=f"{_ARM}{target}", body=body),
            *([PlannedCall(method="DELETE", target=f"{_ARM}{group}")] if record.operation == _DRILL else []),
        ],
        facts={"group": group, "location": server.location, "body": body, "source": server.id},
    )


def _apart(record: OperationRecord, request: RequestRecord, environment: str) -> str:
    """ARM id of the group that only this operation uses."""
    zone = zone_of(request, environment)
    return f"/subscriptions/{zone.subscription_id}/resourceGroups/rg-{record.application}-{environment}-{record.id}"


def _restored_name(source: str, operation: str) -> str:
    return f"{source[:49]}-{operation.removeprefix('op-')}"


def _tags(record: OperationRecord, environment: str) -> dict[str, str]:
    return {"application": record.application, "environment": environment, "appstore-operation": record.id}


@activity
async def ensure_restored_servers(data: Wave) -> WaveResult:
    """Restore the servers that were planned, and wait until they are ready.

    Idempotency: group and server have the operation's names; what is there is only looked at.
    """
    return await carry_out(data, _restored)


async def _restored(row: ActionRecord, permit: Permit) -> Done:
    facts, target = row.action.facts, row.action.target
    if await postgresql_servers.find_server(target) is None:
        await resources.put_group(facts["group"], facts["location"], facts["body"]["tags"], permit)
        await postgresql_servers.restore_server(target, facts["body"], permit)
    found = await postgresql_servers.find_server(target)
    call = VendorCall(_PLACE, "restore server", 200)
    if found is not None and found.properties.state in _BROKEN:
        raise PermanentIntegrationError(call, f"the restored server is {found.properties.state}")
    if found is None or found.properties.state != _READY:
        raise UnderWayError(f"{target.rpartition('/')[2]} is not ready yet")
    return Done(detail=f"{found.name} is ready")


@look
async def read_restored_servers(data: ActivityInput) -> Checked:
    """Check each restored server against its source: ready, the same version, the same databases, a disk as large.

    Idempotency: reads only.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    checks: list[Check] = []
    async for row in operations.actions(record.application, record.id):
        checks += await _checks(row.action.facts["source"], row.action.target)
    failed = [check.name for check in checks if not check.passed]
    return Checked(checks=checks, detail=f"{len(checks) - len(failed)} of {len(checks)} checks passed")


async def _checks(source: str, restored: str) -> list[Check]:
    name = restored.rpartition("/")[2]
    found, origin = await postgresql_servers.find_server(restored), await postgresql_servers.find_server(source)
    if found is None or origin is None:
        return [Check(name=f"{name}: exists", passed=False, detail="the server or its source is not there")]
    had, has = await postgresql_servers.list_databases(source), await postgresql_servers.list_databases(restored)
    lost = sorted(set(had) - set(has))
    sizes = [
        server.properties.storage.storage_size_gb if server.properties.storage else 0 for server in (origin, found)
    ]
    return [
        Check(name=f"{name}: ready", passed=found.properties.state == _READY, detail=found.properties.state),
        Check(name=f"{name}: version", passed=found.properties.version == origin.properties.version),
        Check(name=f"{name}: databases", passed=not lost, detail=f"missing: {', '.join(lost)}" if lost else ""),
        Check(name=f"{name}: disk", passed=sizes[1] >= sizes[0], detail=f"{sizes[1]} GiB"),
    ]


@look
async def note_drill(data: DrillEnd) -> Effect:
    """Write down for each server what its drill found and measured; coverage and the next due date go by it.

    Idempotency: one row for each drill and server, written over by the same drill.
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
            kind=DataKind.DATABASE,
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
    return Effect(detail=f"{count} servers drilled")


def _again(found: DrillRecord, old: DrillRecord) -> DrillRecord:
    """The drill as it was found, of which everything may be removed already."""
    return found.model_copy(update={"removed_at": old.removed_at})


@look
async def remove_restored_servers(data: ActivityInput) -> Settled:
    """Remove the groups that a drill made, whatever became of it; a group without the operation's tag stays.

    Idempotency: absent is success.
    """
    record, request = await _asked(data)
    environments = [record.environment] if record.environment else list(request.body.environments)
    for environment in environments:
        group = _apart(record, request, str(environment))
        try:
            tags = await resources.read_tags(group)
        except NotFoundError:
            continue
        action = Action(
            record.operation, "resource group", group, record.id, str(environment), destructive=True, reversible=True
        )
        allowed = await shields.allow(
            action,
            application=record.application,
            owned_by=tags.get("appstore-operation"),
            locked=await resources.is_locked(group),
        )
        if not await resources.delete_group(group, allowed):
            return Settled(busy=f"{group} is still being deleted")
    for drill in await drills.of_operation(record.application, record.id):
        await drills.write(drill, lambda old: old.model_copy(update={"removed_at": old.removed_at or utc_now()}))
    return Settled(detail="nothing of the drill is left")


async def _asked(data: ActivityInput) -> tuple[OperationRecord, RequestRecord]:
    record = await operations.get(data.run.application, data.run.request_id)
    application = await requests.application(record.application)
    assert application is not None, "an operation is of an application"  # noqa: S101 - the intake demands it
    return record, await requests.get(application.name, application.request_id)


async def _servers(record: OperationRecord, request: RequestRecord) -> list[tuple[str, ProtectedServer]]:
    """The application's servers with their stage."""
    found = []
    for environment in (
        [record.environment] if record.environment else [str(name) for name in request.body.environments]
    ):
        servers = await postgresql_servers.list_servers(group_of(request, environment))
        found += [(environment, server) for server in servers]
    return found


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
