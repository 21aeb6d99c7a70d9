"""What a response plans, does, and takes back, by the kind of its action."""

import json
from typing import Any

from activities._guarded import Done, UnderWayError
from shared import operation_records, tagging
from shared.clients import aks_commands, automation, postgresql_servers
from shared.clock import utc_now
from shared.errors import PermanentIntegrationError, VendorCall
from shared.guard import Permit
from shared.models.day2_alerts import RespondToAlert, Response
from shared.models.day2_secrets import RotateSecret
from shared.models.operations import ActionRecord, AskedOperation, OperationRecord, PlannedAction, PlannedCall
from shared.models.records import ApplicationRecord, RequestRecord
from shared.names import environment_names
from shared.plan import zone_of
from shared.register import operations, requests
from shared.register.audit import Entry

RULE = "respond-to-alert"
_ARM = "https://management.azure.com"
_VAULT = "/providers/microsoft.keyvault/vaults/"


async def planned_action(record: OperationRecord, alert: RespondToAlert, response: Response) -> PlannedAction | None:
    """The action of a response; None when a person has to look."""
    match response.action.kind:
        case "extend-database":
            return await _extension(record, alert, response)
        case "restart-workload" | "scale-workload":
            return await _workload(record, response)
        case "start-runbook":
            return _runbook(record, alert, response)
        case "rotate-secret":
            return await _rotation(record, alert, response)
        case _:
            return None


async def respond(row: ActionRecord, permit: Permit) -> Done:
    """Do the action; what was done before is not done again."""
    facts = row.action.facts
    match facts["do"]:
        case "extend-database":
            return await _extend(row.action.target, facts["size"], permit)
        case "scale":
            return await _scale(row, permit)
        case "command":
            printed = await aks_commands.run_command(facts["cluster"], facts["command"], permit)
            return Done(detail=printed.strip()[:200] or "done")
        case "rotate":
            return await _rotate(row)
        case _:
            return await _run(facts["job"], facts["runbook"], facts["parameters"], permit)


def can_be_taken_back(row: ActionRecord) -> bool:
    """Whether the response changed something that can be put back as it was."""
    return row.action.reversible and "replicas" in row.result and row.result["replicas"] != row.action.facts["replicas"]


async def take_back(row: ActionRecord, permit: Permit) -> str:
    """Put the replicas back that there were, unless somebody else has changed them since; returns what was done."""
    facts, before = row.action.facts, int(row.result["replicas"])
    now = await _replicas(row, permit)
    if now == before:
        return f"{before} replicas, as before"
    if now != facts["replicas"]:
        return ""
    await aks_commands.run_command(facts["cluster"], _scaling(facts["workload"], facts["namespace"], before), permit)
    return f"{before} replicas again"


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
    environment, replicas = str(record.environment), response.action.replicas
    zone = zone_of(request, environment)
    namespace = environment_names(request.application, environment, request.id).namespace
    scaled = response.action.kind == "scale-workload"
    command = _scaling(record.application, namespace, replicas) if scaled else _restart(record, namespace)
    facts: dict[str, Any] = {"do": "command", "cluster": zone.cluster_id, "command": command}
    if scaled:
        facts |= {"do": "scale", "workload": record.application, "namespace": namespace, "replicas": replicas}
    return PlannedAction(
        key="workload",
        rule=RULE,
        kind="workload",
        target=f"{zone.cluster_id}/namespaces/{namespace}",
        environment=environment,
        owned_by=record.application,  # the namespace is made for it, and named by it
        summary=f"scale to {replicas} replicas" if scaled else "restart its pods, one after the other",
        calls=[PlannedCall(method="POST", target=f"{_ARM}{zone.cluster_id}/runCommand", body={"command": command})],
        reversible=scaled,  # a restart leaves nothing to undo
        facts=facts,
    )


def _restart(record: OperationRecord, namespace: str) -> str:
    """What `kubectl rollout restart` does, marked with the operation: twice the same mark restarts once."""
    mark = {"spec": {"template": {"metadata": {"annotations": {"appstore/restarted-by": record.id}}}}}
    patch = json.dumps(mark, separators=(",", ":"))
    return f"kubectl patch deployment {record.application} -n {namespace} --type merge -p '{patch}'"


def _scaling(workload: str, namespace: str, replicas: int) -> str:
    return f"kubectl scale deployment {workload} -n {namespace} --replicas {replicas}"


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


async def _rotation(record: OperationRecord, alert: RespondToAlert, response: Response) -> PlannedAction:
    """Ask for a rotation of the secret, in the vault that the alert is about or else in that of the environment."""
    request, below = await _request_of(record), alert.target.lower()
    own = environment_names(request.application, str(record.environment), request.id).key_vault
    vault = alert.target[below.index(_VAULT) + len(_VAULT) :].partition("/")[0] if _VAULT in below else own
    wanted = RotateSecret(vault=vault, secret=response.action.secret).document()
    target = f"/api/applications/{record.application}/operations/rotate-secret"
    body = {"environment": record.environment, "parameters": wanted}
    return PlannedAction(
        key="rotate",
        rule=RULE,
        kind="secret",
        target=f"{vault}/{response.action.secret}",
        environment=record.environment,
        owned_by=record.application,
        summary=f"ask for a rotation of {response.action.secret} in {vault}",
        calls=[PlannedCall(method="POST", target=target, body=body)],
        reversible=False,
        facts={"do": "rotate", "parameters": wanted},
    )


async def _application_of(record: OperationRecord) -> ApplicationRecord:
    application = await requests.application(record.application)
    assert application is not None, "an operation is of an application"  # noqa: S101 - the intake demands it
    return application


async def _request_of(record: OperationRecord) -> RequestRecord:
    application = await _application_of(record)
    return await requests.get(application.name, application.request_id)


async def _extend(server: str, size: int, permit: Permit) -> Done:
    if (await postgresql_servers.read_server(server)).size < size:
        await postgresql_servers.extend_storage(server, size, permit)
        if (await postgresql_servers.read_server(server)).size < size:
            raise UnderWayError("the disk is still being extended")
    return Done(detail=f"{size} GiB")


async def _scale(row: ActionRecord, permit: Permit) -> Done:
    """Scale up, and remember before that how many there were: a repeat would take our own number for it."""
    facts, wanted = row.action.facts, int(row.action.facts["replicas"])
    if "replicas" not in row.result:
        # The same dictionary is in every later version of the row: a failure does not write it away.
        row.result["replicas"] = await _replicas(row, permit)
        await operations.write_action(row.action.owned_by, row)
    before = int(row.result["replicas"])
    if before == 0 or before >= wanted:
        return Done(detail=f"left alone: it has {before} replicas", result={"replicas": wanted}, gone=True)
    await aks_commands.run_command(facts["cluster"], facts["command"], permit)
    return Done(detail=f"from {before} to {wanted} replicas", result={"replicas": before})


async def _replicas(row: ActionRecord, permit: Permit) -> int:
    facts = row.action.facts
    command = f"kubectl get deployment {facts['workload']} -n {facts['namespace']} -o jsonpath={{.spec.replicas}}"
    printed = (await aks_commands.run_command(facts["cluster"], command, permit)).strip()
    if not printed.isdigit():
        place = VendorCall("azure resource manager", "read replicas", 200)
        raise PermanentIntegrationError(place, f"not a number of replicas: {printed[:100]}")
    return int(printed)


async def _rotate(row: ActionRecord) -> Done:
    """Record the rotation; the sweep starts it. It has the application to itself: nobody waits for it in here."""
    asking = await operations.get(row.action.owned_by, row.operation_id)
    asked = AskedOperation(
        operation="rotate-secret",
        application=asking.application,
        environment=asking.environment,
        parameters=row.action.facts["parameters"],
        occasion=asking.occasion,
        business_key=f"{asking.id}/rotate",
        requester=asking.requester,
        requester_name=asking.requester_name,
        reason=f"response of {asking.id}",
    )
    record = operation_records.recorded(asked, await _application_of(asking), dict(asked.parameters))
    detail = f"{asked.operation} by {asking.id}"
    entry = Entry(f"{record.id}:operate", utc_now(), asked.requester, "operate", record.id, detail)
    found = await operations.create(record, entry)
    return Done(detail=f"{found.id} renews it", result={"operation": found.id})


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
