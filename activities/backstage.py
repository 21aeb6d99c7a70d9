"""The application in Backstage's catalog, and the template that is run for it there."""

import asyncio
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from activities._activity import activity, look
from shared import shields
from shared.clients import backstage
from shared.clients._github import owner
from shared.clients.backstage import ORIGIN, Entity, Task
from shared.errors import ConflictError, PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.guard import Action, Facts, Permit, permit
from shared.models.catalogue import (
    CatalogueInput,
    ReadRegistration,
    ReadTemplate,
    Registration,
    TemplateTask,
    Visibility,
)
from shared.models.plan import MadeObject
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput
from shared.models.undo import Removed
from shared.register import requests

TEMPLATE = "backstage-template"  # the optional system of requests for which the template is run
_LOCATION, _TASK = "location", "scaffolder task"
_REQUEST = "appstore/request-id"
_PATIENCE = timedelta(minutes=5)  # a worker gives a sign of life every few seconds
_CLOCKS = timedelta(minutes=10)  # how far Backstage's clock may be behind ours
_GONE_LOOKS, _GONE_SECONDS = 10, 0.2


async def _record(data: ActivityInput) -> RequestRecord:
    return await requests.get(data.run.application, data.run.request_id)


def _target(application: str) -> str:
    """The file that Backstage reads: on the default branch of the application's repository."""
    return f"https://github.com/{owner()}/{application}/blob/main/catalog-info.yaml"


@activity
async def ensure_registration(data: CatalogueInput) -> Registration:
    """Register the repository's catalog-info.yaml as a location, after Backstage has read it on trial.

    Idempotency: natural key target; a target that is registered is read anew. Entities that carry another request's id,
    or come from another location, are a conflict: nothing is registered then.
    """
    record = await _record(data)
    target = _target(record.application)
    brought = await backstage.check_location(target)
    refs = [entity.ref for entity in brought]
    _require_ours(brought, record)
    _require_origin(await backstage.find_entities(refs), target)
    location = await backstage.register_location(target)
    return Registration(
        location_id=location.id,
        target=target,
        entities=refs,
        template=TEMPLATE in record.systems,
        detail=f"{len(refs)} entities",
        link=backstage.entity_page(f"component:default/{record.application}"),
        made=[MadeObject(system="backstage", type=_LOCATION, name=record.application)],
    )


def _requests_of(entities: Iterable[Entity]) -> set[str]:
    return {entity.annotation(_REQUEST) for entity in entities} - {""}


def _require_ours(brought: list[Entity], record: RequestRecord) -> None:
    if _requests_of(brought) != {record.id}:
        others = ", ".join(sorted(_requests_of(brought) - {record.id})) or "no request"
        call = VendorCall("backstage", "check location", 201)
        raise ConflictError(call, f"the file's entities belong to {others}; it was not registered")


def _require_origin(found: dict[str, Entity], target: str) -> None:
    """Backstage says nothing when two locations bring an entity of the same name: the first one keeps it."""
    for ref, entity in found.items():
        if entity.annotation(ORIGIN) != f"url:{target}":
            origin = entity.annotation(ORIGIN) or "an unknown origin"
            raise ConflictError(VendorCall("backstage", "find entities", 200), f"{ref} belongs to {origin}")


@look
async def read_registration(data: ReadRegistration) -> Visibility:
    """Look which entities of the location are not there yet; one of another origin is a conflict that names it.

    Idempotency: reads only.
    """
    found = await backstage.find_entities(data.entities)
    _require_origin(found, data.target)
    return Visibility(missing=[ref for ref in data.entities if ref not in found])


@activity
async def remove_registration(data: ActivityInput) -> Removed:
    """Delete every location with our target, and wait until their entities are gone.

    Idempotency: absent is success; entities that carry another request's id stay, and so does their location.
    """
    record = await _record(data)
    target = _target(record.application)
    locations = await backstage.find_locations(target)
    owners = _requests_of(await backstage.find_entities_of(target)) or {record.id}
    if record.id not in owners:
        return Removed(detail=f"the entities belong to {', '.join(sorted(owners))} and stay")
    for location in locations:
        action = Action("undo", _LOCATION, location.target, record.id)
        allowed = await shields.allow(action, application=record.application, owned_by=record.id)
        await backstage.delete_location(location.id, allowed)
    await _require_gone(target)
    return Removed(detail=f"{len(locations)} locations removed")


async def _require_gone(target: str) -> None:
    """Backstage prunes what has lost its location, a moment after its answer."""
    left: Collection[Entity] = ()
    for _ in range(_GONE_LOOKS):
        left = await backstage.find_entities_of(target)
        if not left:
            return
        await asyncio.sleep(_GONE_SECONDS)
    names = ", ".join(entity.ref for entity in left)
    raise TransientIntegrationError(VendorCall("backstage", "delete location", 204), f"{names} are still there")


@activity
async def start_template(data: CatalogueInput) -> TemplateTask:
    """Start the template for the application.

    Idempotency: the request id is one of the task's values, and is looked for before and after starting, because
    Backstage starts as many as it is asked for; of two that were started at once the younger one is cancelled. A task
    that failed in an earlier attempt is followed by a new one.
    """
    record = await _record(data)
    found = await _tasks(record, data.operation)
    if not found:
        await backstage.start_task(backstage.template(), _values(record, data.operation))
        found = await _tasks(record, data.operation)
    if not found:
        call = VendorCall("backstage", "start task", 201)
        raise TransientIntegrationError(
            call, f"no task carries the request id {record.id}: the template has to take it"
        )
    task, *younger = found
    for duplicate in younger:
        if duplicate.under_way:
            await backstage.cancel_task(duplicate.id, _permit(duplicate, record))
    return TemplateTask(
        task_id=task.id,
        detail=backstage.template(),
        link=backstage.task_page(task.id),
        made=[MadeObject(system=TEMPLATE, type=_TASK, name=record.application)],
    )


async def _tasks(record: RequestRecord, operation: str) -> list[Task]:
    """The tasks of the request that count: what failed, or was lost, in an earlier attempt does not."""
    found = await _all_tasks(record)
    return [task for task in found if task.spec.parameters.get("operation") == operation or _alive(task)]


def _alive(task: Task) -> bool:
    return task.status == backstage.COMPLETED or (task.under_way and not task.silent_for(_PATIENCE))


async def _all_tasks(record: RequestRecord) -> list[Task]:
    since = datetime.fromisoformat(record.created_at) - _CLOCKS
    return await backstage.find_tasks(("requestId", record.id), since)


def _values(record: RequestRecord, operation: str) -> dict[str, object]:
    """A task of a service has no user: the requester is a value like the others."""
    body = record.body
    return {
        "requestId": record.id,
        "operation": operation,
        "application": body.name,
        "entityRef": f"component:default/{body.name}",
        "owner": f"group:default/{body.owner_team}",
        "repository": f"{owner()}/{body.name}",
        "environments": [str(name) for name in body.environments],
        "requester": record.requester_name,
    }


def _permit(task: Task, record: RequestRecord) -> Permit:
    owned_by = str(task.spec.parameters.get("requestId"))
    return permit(Action("undo", _TASK, task.id, record.id), Facts(owned_by=owned_by))


@look
async def read_template(data: ReadTemplate) -> TemplateTask:
    """Look whether the task has ended, and how.

    Idempotency: reads only.

    Raises:
        PermanentIntegrationError: it failed; the sentence names the step. Or its worker is gone: Backstage itself
            notices that after a day.
    """
    task = await backstage.read_task(data.task_id)
    call = VendorCall("backstage", "run template", 200)
    if task.silent_for(_PATIENCE):
        raise PermanentIntegrationError(call, f"Backstage lost task {task.id}: its worker gives no sign of life")
    if task.under_way:
        return TemplateTask(task_id=task.id)
    failure = await backstage.read_failure(task.id)
    if failure or task.status != backstage.COMPLETED:
        raise PermanentIntegrationError(call, f"task {task.id} {task.status}: {failure}")
    return TemplateTask(task_id=task.id, ended=True)


@activity
async def remove_template_task(data: ActivityInput) -> Removed:
    """Cancel what still runs. Backstage keeps its tasks, and has no call that removes one.

    Idempotency: a task that has ended stays as it is.
    """
    record = await _record(data)
    found = await _all_tasks(record)
    for task in found:
        if task.under_way:
            await backstage.cancel_task(task.id, _permit(task, record))
    residue = [MadeObject(system=TEMPLATE, type=_TASK, name=task.id) for task in found]
    return Removed(detail=f"{len(found)} tasks stay in the history", residue=residue)
