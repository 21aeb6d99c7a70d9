"""Tags of an application's resources: found out, and set where they are missing."""

from activities._activity import activity, look
from activities._guarded import Done, carry_out, keep_survey
from shared import tagging
from shared.clients import resources
from shared.errors import NotFoundError
from shared.guard import Permit
from shared.models.day2_tags import ReconcileTags
from shared.models.operations import ActionRecord, PlannedAction, PlannedCall, Survey, Wave, WaveResult
from shared.models.records import ApplicationRecord, RequestRecord
from shared.models.runs import ActivityInput, Effect
from shared.names import environment_names
from shared.plan import zone_of
from shared.register import operations, requests

RULE = "reconcile-tags"


@look
async def list_tag_changes(data: ActivityInput) -> Effect:
    """Plan the tags that the application's resources lack.

    Idempotency: reads at the vendor; the planned actions are written over those of an earlier survey.
    """
    operation = await operations.get(data.run.application, data.run.request_id)
    application = await requests.application(operation.application)
    assert application is not None, "an operation is of an application"  # noqa: S101 - the intake demands it
    wanted = ReconcileTags.model_validate(operation.parameters)
    record = await requests.get(application.name, application.request_id)
    stages = [operation.environment] if operation.environment else application.environments
    found = [await _survey(application, record, stage, wanted.resource) for stage in stages]
    actions, scanned = [action for part in found for action in part.actions], sum(part.scanned for part in found)
    survey = Survey(
        actions=actions,
        scanned=scanned,
        unreadable=[line for part in found for line in part.unreadable],
        summary=f"{len(actions)} of {scanned} resources lack tags",
    )
    return await keep_survey(data, survey)


async def _survey(application: ApplicationRecord, record: RequestRecord, environment: str, only: str) -> Survey:
    """What one environment lacks; ``only`` is the id of the one resource that is asked about, or empty."""
    zone, names = zone_of(record, environment), environment_names(record.application, environment, record.id)
    group = f"/subscriptions/{zone.subscription_id}/resourceGroups/{names.resource_group}"
    try:
        tags = {group: await resources.read_tags(group)}
        async for resource in resources.list_resources(group):
            tags[resource.id] = resource.tags or {}
    except NotFoundError:
        return Survey(unreadable=[f"{group}: it does not exist"])
    required = tagging.required_tags(record, environment)
    asked = {scope: have for scope, have in tags.items() if only.lower() in ("", scope.lower())}
    lacks = {scope: tagging.lacking(have, required) for scope, have in asked.items()}
    full = {scope: over for scope, have in asked.items() if (over := tagging.too_many(have, lacks[scope]))}
    return Survey(
        actions=[
            _planned(application, environment, scope, have, lacks[scope])
            for scope, have in asked.items()
            if lacks[scope] and scope not in full
        ],
        scanned=len(asked),
        unreadable=[f"{scope}: {over} tags too many; remove some that are not needed" for scope, over in full.items()],
    )


def _planned(
    application: ApplicationRecord, environment: str, scope: str, have: dict[str, str], lacks: dict[str, str]
) -> PlannedAction:
    return PlannedAction(
        key=scope.lower(),
        rule=RULE,
        kind="tags",
        target=scope,
        environment=environment,
        owned_by=tagging.owner_of(have) or application.name,  # it lies in a group that was made for the application
        summary=f"set {', '.join(sorted(lacks))}",
        calls=[PlannedCall(method="PATCH", target=f"{scope}{resources.TAGS_SUFFIX}", body=resources.merge_of(lacks))],
        facts={"tags": lacks},
    )


@activity
async def set_tags(data: Wave) -> WaveResult:
    """Set the tags that were planned, and leave all others as they are.

    Idempotency: a merge; the same merge twice changes nothing, and what is done is not sent again.
    """
    return await carry_out(data, _merge)


async def _merge(row: ActionRecord, permit: Permit) -> Done:
    await resources.merge_tags(row.action.target, row.action.facts["tags"], permit)
    return Done(detail=row.action.summary)
