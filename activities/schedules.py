"""Off-hours: what runs and should not, or should and does not, is switched in the order of its sequence."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from activities._activity import activity, look
from activities._guarded import Done, UnderWayError, carry_out, keep_survey
from activities._quiet import STALE, later, quiet_by
from shared import schedules, tagging
from shared.clients import power, resources
from shared.clients.power import Switch
from shared.clients.resources import Resource
from shared.clock import utc_now
from shared.errors import NotFoundError, PermanentIntegrationError
from shared.guard import Permit
from shared.models.day2_alerts import OwnStop
from shared.models.day2_schedules import ApplySchedule
from shared.models.operations import (
    ActionRecord,
    PlannedAction,
    PlannedCall,
    Survey,
    Wave,
    WaveResult,
)
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Effect
from shared.plan import group_of
from shared.register import held_alerts, operations, requests
from shared.schedules import ScheduleRules, UnreadableScheduleError

RULE = "apply-schedule"
_LAST = 1_000_000  # what has no number starts last and stops first


@look
async def list_switches(data: ActivityInput) -> Effect:
    """Plan what the schedules of the application's resources say about this moment.

    Idempotency: reads at the vendor; the planned actions are written over those of an earlier survey.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    application = await requests.application(record.application)
    assert application is not None, "an operation is of an application"  # noqa: S101 - the intake demands it
    request = await requests.get(application.name, application.request_id)
    rules, at = schedules.schedule_rules(), ApplySchedule.model_validate(record.parameters).at or datetime.now(UTC)
    stages = [record.environment] if record.environment else [str(name) for name in request.body.environments]
    actions, unreadable, scanned = [], [], 0
    for stage in [stage for stage in stages if stage in rules.stages]:
        async for resource, tags in _scheduled(request, stage, rules):
            scanned += 1
            try:
                action = await _planned(stage, resource, tags, rules, at)
            except UnreadableScheduleError as error:
                unreadable.append(f"{resource.id}: {error}")
                continue
            actions += [action] if action else []
    await _forget_started(record.application, stages, {action.key for action in actions})
    actions.sort(key=lambda action: (action.facts["on"], action.facts["order"], action.target))
    survey = Survey(
        actions=actions,
        scanned=scanned,
        unreadable=unreadable,
        summary=f"{len(actions)} of {scanned} scheduled resources to switch",
    )
    return await keep_survey(data, survey)


async def _forget_started(application: str, stages: list[str], planned: set[str]) -> None:
    """What somebody else started is no longer stopped by us, and keeps no alert from being answered."""
    for stage in stages:
        for stop in await held_alerts.stops(application, stage):
            if stop.resource.lower() not in planned and await quiet_by(stop) is None:
                await held_alerts.forget_stop(application, stop.resource)


async def _scheduled(
    request: RequestRecord, stage: str, rules: ScheduleRules
) -> AsyncIterator[tuple[Resource, dict[str, str]]]:
    """Resources that can be switched and have a schedule, their own or their group's."""
    group = group_of(request, stage)
    try:
        inherited = await resources.read_tags(group)
        async for resource in resources.list_resources(group):
            tags = inherited | (resource.tags or {})
            if power.switch_of(resource.type) and rules.tag in tags:
                yield resource, tags
    except NotFoundError:
        return


async def _planned(
    stage: str, resource: Resource, tags: dict[str, str], rules: ScheduleRules, at: datetime
) -> PlannedAction | None:
    schedule, switch = schedules.schedule_of(tags[rules.tag], rules), power.switch_of(resource.type)
    last = schedule.last_switch(at) if schedule else None
    if last is None or switch is None:
        return None
    on = last[1]
    if await power.is_running(resource.id, switch) is on:
        return None
    verb = switch.start if on else switch.stop
    number = tags.get(rules.sequence_tag, "")
    order = int(number) if number.isdigit() else _LAST
    return PlannedAction(
        key=resource.id.lower(),
        rule=RULE,
        kind="power state",
        target=resource.id,
        environment=stage,
        owned_by=tagging.owner_of(resource.tags),
        summary=f"{verb} {resource.name}, as its schedule says since {last[0]:%Y-%m-%d %H:%M} UTC",
        calls=[PlannedCall(method="POST", target=f"https://management.azure.com{resource.id}/{verb}")],
        facts={"on": on, "order": order if on else -order, "type": resource.type},
    )


@activity
async def set_power_states(data: Wave) -> WaveResult:
    """Switch what was planned, and wait for each: what depends on it comes after it.

    Idempotency: what is in the wanted state already is left alone, and a stop is remembered under its resource.
    """
    return await carry_out(data, _switch)


async def _switch(row: ActionRecord, permit: Permit) -> Done:
    target, on = row.action.target, bool(row.action.facts["on"])
    switch = power.switch_of(row.action.facts["type"])
    assert switch is not None, "only what can be switched is planned"  # noqa: S101 - see _scheduled
    state = await power.is_running(target, switch)
    if not on:
        await _announce(row)
    if state is (not on):
        await _turn(row, switch, permit, on=on)
        state = await power.is_running(target, switch)
    if state is not on:
        raise UnderWayError(f"{target.rpartition('/')[2]} is still being {'started' if on else 'stopped'}")
    if on:
        await held_alerts.end_stop(row.action.owned_by, target, later(utc_now(), STALE))
    return Done(detail="running" if on else "stopped")


async def _turn(row: ActionRecord, switch: Switch, permit: Permit, *, on: bool) -> None:
    """Start or stop it; a stop that the vendor refused was none."""
    try:
        await power.turn(row.action.target, switch, permit, on=on)
    except PermanentIntegrationError:
        if not on:
            await held_alerts.forget_stop(row.action.owned_by, row.action.target)
        raise


async def _announce(row: ActionRecord) -> None:
    """Remember the stop before it is made: an alert that comes of it is then known to come of it."""
    stop = OwnStop(
        resource=row.action.target,
        kind=row.action.facts["type"],
        environment=str(row.action.environment),
        operation=row.operation_id,
        at=utc_now(),
    )
    await held_alerts.remember_stop(row.action.owned_by, stop)
