"""The place apart: a resource group that only one operation uses, and that says whose it is."""

from datetime import datetime

from activities._restores.port import Found
from shared.clients import resources
from shared.errors import NotFoundError
from shared.guard import Permit
from shared.models.operations import OperationRecord, PlannedAction, PlannedCall
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput
from shared.plan import zone_of
from shared.register import operations, requests

ARM = "https://management.azure.com"
DRILL = "drill-restore"  # what it restored is removed again
OWNER = "appstore-operation"  # tag that names the operation


async def asked(data: ActivityInput) -> tuple[OperationRecord, RequestRecord]:
    """The operation that a payload is about, and the request that made its application."""
    record = await operations.get(data.run.application, data.run.request_id)
    application = await requests.application(record.application)
    assert application is not None, "an operation is of an application"  # noqa: S101 - the intake demands it
    return record, await requests.get(application.name, application.request_id)


def group_apart(record: OperationRecord, request: RequestRecord, environment: str) -> str:
    """ARM id of the group that only this operation uses."""
    zone = zone_of(request, environment)
    return f"/subscriptions/{zone.subscription_id}/resourceGroups/rg-{record.application}-{environment}-{record.id}"


def tags_of(record: OperationRecord, environment: str) -> dict[str, str]:
    """The tags of everything that the operation makes."""
    return {"application": record.application, "environment": environment, OWNER: record.id}


def stages_of(record: OperationRecord, request: RequestRecord) -> list[str]:
    """The stages that the operation is about."""
    return [record.environment] if record.environment else [str(name) for name in request.body.environments]


def text_of(moment: datetime) -> str:
    """A moment as Azure and people read it, UTC."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def surrounded(record: OperationRecord, found: Found) -> list[PlannedAction]:
    """The restores with their group: made before the first of them and, in a drill, removed after the last."""
    actions = list(found.actions)
    if actions:
        first, last = actions[0].facts, actions[-1].facts
        made = resources.group_with(first["location"], first["body"]["tags"])
        before = PlannedCall(method="PUT", target=f"{ARM}{first['group']}", body=made)
        actions[0] = actions[0].model_copy(update={"calls": [before, *actions[0].calls]})
        gone = PlannedCall(method="DELETE", target=f"{ARM}{last['group']}")
        after = [gone, *found.afterwards] if record.operation == DRILL else []
        actions[-1] = actions[-1].model_copy(update={"calls": [*actions[-1].calls, *after]})
    return actions


async def put_place(action: PlannedAction, permit: Permit) -> None:
    """Make the group of a planned restore unless it is there."""
    facts = action.facts
    try:
        await resources.read_tags(facts["group"])
    except NotFoundError:
        await resources.put_group(facts["group"], facts["location"], facts["body"]["tags"], permit)
