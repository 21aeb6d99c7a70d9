"""Answering an alert: what the rules say is planned, done, and verified by the alert's own condition."""

import json
from datetime import UTC, datetime, timedelta

from activities._activity import activity, look
from activities._guarded import Done, UnderWayError, carry_out, keep_survey
from shared import responses, tagging
from shared.clients import aks_commands, automation, monitor, postgresql_servers, resources
from shared.clients.monitor import WatchedMetric
from shared.clock import utc_now
from shared.errors import (
    ConfigurationError,
    NotFoundError,
    PermanentIntegrationError,
    VendorCall,
)
from shared.guard import Permit
from shared.models.day2_alerts import RespondToAlert, Response, Verification
from shared.models.operations import (
    RUNNING_STATES,
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
from shared.names import environment_names
from shared.plan import zone_of
from shared.register import alerts, operations, requests
from shared.register.alerts import Answering, Turn

RULE = "respond-to-alert"
_LOOK_BACK = timedelta(minutes=15)
_ARM = "https://management.azure.com"


@look
async def list_alert_response(data: ActivityInput) -> Effect:
    """Plan what the rules say about the alert: nothing when somebody answers it already or it is over.

    Idempotency: the claim of the alert and the turn of the response are the operation's own; a repeat finds them.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    alert = RespondToAlert.model_validate(record.parameters)
    if alert.condition == "Resolved":
        return await keep_survey(data, Survey(scanned=1, summary="the alert is over", facts={"over": True}))
    if not record.dry_run and (other := await _answered_by_other(record, alert)):
        summary = f"{other} answers this alert already"
        return await keep_survey(data, Survey(scanned=1, summary=summary, facts={"answeredBy": other}))
    value = await _value(alert)
    if _is_over(alert, value):
        summary = f"nothing to do: {alert.conditions[0].metric_name} is {value:g} by now"
        return await keep_survey(data, Survey(scanned=1, summary=summary, facts={"before": value}))
    return await keep_survey(data, await _planned(record, alert, value))


async def _answered_by_other(record: OperationRecord, alert: RespondToAlert) -> str | None:
    """The operation that answers the same alert now, or None: then ours does from here on."""
    held = await alerts.answering(record.application, alert.fingerprint)
    other = held.operation if held and held.operation != record.id else None
    if other:
        found = await operations.find(record.application, other)
        if found and found.state in RUNNING_STATES:
            return other
    ours = Answering(operation=record.id, at=utc_now())
    claimed = await alerts.claim(record.application, alert.fingerprint, ours, instead_of=other)
    return None if claimed.operation == record.id else claimed.operation


async def _value(alert: RespondToAlert) -> float | None:
    """The newest value of what the alert watches; None when there is none."""
    if not alert.conditions or not alert.target:
        return None
    watched = alert.conditions[0]
    metric = WatchedMetric(
        resource_id=alert.target,
        namespace=watched.metric_namespace,
        name=watched.metric_name,
        aggregation=watched.time_aggregation,
    )
    now = datetime.now(UTC)
    points = await monitor.read_metric(metric, now - _LOOK_BACK, now + timedelta(minutes=1))
    return points[-1].value if points else None


def _is_over(alert: RespondToAlert, value: float | None) -> bool:
    """Whether the alert's condition does not hold any more: the event may be hours old."""
    if value is None:
        return False
    watched = alert.conditions[0]
    return responses.fulfils(value, watched.operator, watched.threshold) is False


async def _planned(record: OperationRecord, alert: RespondToAlert, value: float | None) -> Survey:
    response = responses.response_to(alert, record.environment)
    facts = {"response": response.id, "before": value, "settleMinutes": response.settle}
    refused = None if record.dry_run else await _cool_down(record, alert, response)
    action = None if refused else await _action(record, alert, response)
    if action is None:
        why = refused or f"{response.id}: no response is known; a person has to look"
        return Survey(scanned=1, summary=why, facts=facts | {"incident": why})
    return Survey(actions=[action], scanned=1, summary=f"{response.id}: {action.summary}", facts=facts)


async def _cool_down(record: OperationRecord, alert: RespondToAlert, response: Response) -> str | None:
    windows = response.cool_down
    turn = Turn(at=utc_now(), target=alert.target.lower(), operation=record.id)
    return await alerts.take_turn(response.id, turn, target=windows.target, everywhere=windows.all)


async def _action(record: OperationRecord, alert: RespondToAlert, response: Response) -> PlannedAction | None:
    match response.action.kind:
        case "extend-database":
            return await _extension(record, alert, response)
        case "restart-workload" | "scale-workload":
            return await _workload(record, response)
        case "start-runbook":
            return _runbook(record, alert, response)
        case _:
            return None


async def _extension(record: OperationRecord, alert: RespondToAlert, response: Response) -> PlannedAction | None:
    server = await postgresql_servers.read_server(alert.target)
    size = postgresql_servers.next_size(server.size, response.action.largest)
    if size is None:
        return None
    return PlannedAction(
        key="extend",
        rule=RULE,
        kind="database disk",
        target=server.id,
        environment=record.environment,
        owned_by=tagging.owner_of(server.tags),
        summary=f"extend the disk of {server.name} from {server.size} to {size} GiB",
        calls=[PlannedCall(method="PATCH", target=f"{_ARM}{server.id}", body=postgresql_servers.storage_of(size))],
        reversible=False,  # a disk never shrinks; it destroys nothing, though
        facts={"do": "extend-database", "size": size},
    )


async def _workload(record: OperationRecord, response: Response) -> PlannedAction:
    request = await _request_of(record)
    environment = str(record.environment)
    zone = zone_of(request, environment)
    namespace = environment_names(request.application, environment, request.id).namespace
    scaled = response.action.kind == "scale-workload"
    command = _scale(record, namespace, response.action.replicas) if scaled else _restart(record, namespace)
    return PlannedAction(
        key="workload",
        rule=RULE,
        kind="workload",
        target=f"{zone.cluster_id}/namespaces/{namespace}",
        environment=environment,
        owned_by=record.application,  # the namespace is made for it, and named by it
        summary=f"scale to {response.action.replicas} replicas" if scaled else "restart its pods, one after the other",
        calls=[PlannedCall(method="POST", target=f"{_ARM}{zone.cluster_id}/runCommand", body={"command": command})],
        facts={"do": "command", "cluster": zone.cluster_id, "command": command},
    )


def _restart(record: OperationRecord, namespace: str) -> str:
    """What `kubectl rollout restart` does, marked with the operation: twice the same mark restarts once."""
    mark = {"spec": {"template": {"metadata": {"annotations": {"appstore/restarted-by": record.id}}}}}
    patch = json.dumps(mark, separators=(",", ":"))
    return f"kubectl patch deployment {record.application} -n {namespace} --type merge -p '{patch}'"


def _scale(record: OperationRecord, namespace: str, replicas: int) -> str:
    return f"kubectl scale deployment {record.application} -n {namespace} --replicas {replicas}"


def _runbook(record: OperationRecord, alert: RespondToAlert, response: Response) -> PlannedAction:
    runbook = response.action.runbook
    name = automation.job_name(record.id, runbook, record.attempt)
    parameters = {"target": alert.target}  # one, because those of Python runbooks have an order and no names
    body = automation.job_body(runbook, parameters)
    return PlannedAction(
        key="runbook",
        rule=RULE,
        kind="runbook",
        target=alert.target or runbook,
        environment=record.environment,
        owned_by=record.application,
        summary=f"start the runbook {runbook}",
        calls=[PlannedCall(method="PUT", target=f"{_ARM}{automation.account()}/jobs/{name}", body=body)],
        reversible=False,
        facts={"do": "runbook", "job": name, "runbook": runbook, "parameters": parameters},
    )


async def _request_of(record: OperationRecord) -> RequestRecord:
    application = await requests.application(record.application)
    assert application is not None, "an operation is of an application"  # noqa: S101 - the intake demands it
    return await requests.get(application.name, application.request_id)


@activity
async def set_alert_response(data: Wave) -> WaveResult:
    """Do what was planned about the alert.

    Idempotency: the disk has the size already, the workload carries the operation's mark, the job has its name.
    """
    return await carry_out(data, _respond, _locked)


async def _locked(action: PlannedAction) -> bool:
    return action.target.startswith("/subscriptions/") and await resources.is_locked(action.target)


async def _respond(row: ActionRecord, permit: Permit) -> Done:
    facts = row.action.facts
    match facts["do"]:
        case "extend-database":
            return await _extend(row.action.target, facts["size"], permit)
        case "command":
            printed = await aks_commands.run_command(facts["cluster"], facts["command"], permit)
            return Done(detail=printed.strip()[:200] or "done")
        case _:
            return await _run(facts["job"], facts["runbook"], facts["parameters"], permit)


async def _extend(server: str, size: int, permit: Permit) -> Done:
    if (await postgresql_servers.read_server(server)).size < size:
        await postgresql_servers.extend_storage(server, size, permit)
        if (await postgresql_servers.read_server(server)).size < size:
            raise UnderWayError("the disk is still being extended")
    return Done(detail=f"{size} GiB")


async def _run(name: str, runbook: str, parameters: dict[str, str], permit: Permit) -> Done:
    """Start the job, and come back until it has ended."""
    job = await automation.start_job(name, runbook, parameters, permit)
    call = VendorCall("azure automation", "run runbook", 200)
    if not job.ended:
        raise UnderWayError(f"the job {name} is {job.properties.status}")
    output = await automation.read_output(name)
    if job.properties.status != automation.COMPLETED:
        raise PermanentIntegrationError(
            call, f"{runbook} ended as {job.properties.status}: {job.reason.strip()[-300:]} {output[:150]}"
        )
    result = {"job": name, "status": job.properties.status, "output": output}
    return Done(detail=output[:200] or runbook, result=result)


@look
async def read_alert_verification(data: ActivityInput) -> Verification:
    """Read the metric again: whether the alert's condition still holds after the response.

    Idempotency: reads only.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    alert = RespondToAlert.model_validate(record.parameters)
    before = record.facts.get("before")
    try:
        value = await _value(alert)
    except (NotFoundError, ConfigurationError):
        value = None
    if value is None:
        return Verification(helped=None, before=before, detail="there is no value to judge by")
    helped = _is_over(alert, value)
    return Verification(helped=helped, before=before, after=value, detail=f"{value:g} now")
