"""Tags of an application's resources: found out, and set where they are missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
from shared.plan import group_of
from shared.register import operations, requests

RULE = "reconcile-tags"


@dataclass(frozen=True)
class Lacking:
    """What a resource lacks; ``over`` is by how many tags it would be over the limit with them."""

    scope: str
    owner: str
    lacks: dict[str, str]
    over: int


@dataclass
class Judged:
    """The resources of a group as they were found, in order."""

    scanned: int = 0
    lacking: list[Lacking] = field(default_factory=list)

    def hold(self, scope: str, have: Mapping[str, str], required: Mapping[str, str]) -> None:
        """Hold one of them against the tags that it must have."""
        self.scanned += 1
        lacks = tagging.lacking(have, required)
        if lacks:
            self.lacking.append(Lacking(scope, tagging.owner_of(have), lacks, tagging.too_many(have, lacks)))


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
    group = group_of(record, environment)
    try:
        judged = await judge_group(group, tagging.required_tags(record, environment), only)
    except NotFoundError:
        return Survey(unreadable=[f"{group}: it does not exist"])
    return Survey(
        actions=[_planned(application, environment, one) for one in judged.lacking if not one.over],
        scanned=judged.scanned,
        unreadable=[
            f"{one.scope}: {one.over} tags too many; remove some that are not needed"
            for one in judged.lacking
            if one.over
        ],
    )


async def judge_group(group: str, required: Mapping[str, str], only: str = "") -> Judged:
    """Hold a resource group (its ARM id) and its resources against the tags that they must have, page by page.

    What has its tags is forgotten at once: a group may be large, and what it lacks is usually little.

    Args:
        group: the group's ARM id.
        required: the tags.
        only: id of the one resource that is asked about, or empty.

    Raises:
        NotFoundError: there is no such group.
    """
    judged, wanted = Judged(), only.lower()
    if wanted in ("", group.lower()):
        judged.hold(group, await resources.read_tags(group), required)
    async for resource in resources.list_resources(group):
        if wanted in ("", resource.id.lower()):
            judged.hold(resource.id, resource.tags or {}, required)
    return judged


def _planned(application: ApplicationRecord, environment: str, found: Lacking) -> PlannedAction:
    scope, lacks = found.scope, found.lacks
    return PlannedAction(
        key=scope.lower(),
        rule=RULE,
        kind="tags",
        target=scope,
        environment=environment,
        owned_by=found.owner or application.name,  # it lies in a group that was made for the application
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
