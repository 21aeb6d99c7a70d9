"""Every quarter of an hour the off-hours tags are read; each switch of an application is asked for once."""

from collections import defaultdict
from datetime import UTC, datetime

import azure.durable_functions as df
import azure.functions as func

from shared import landing_zones, schedules, tagging
from shared.clients import resources
from shared.log import LOGGER
from shared.models.operations import AskedOperation
from shared.schedules import ScheduleRules, UnreadableScheduleError
from triggers._operation_intake import accept, asked_by_timer
from triggers._sweeping import apart

blueprint = df.Blueprint()


async def apply_schedules(timer: func.TimerRequest, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG001 - the SDK sets the hint
    """Ask for the last switch of each application: one that was asked for before is not asked for again."""
    await ask_for_switches(client, datetime.now(UTC))


async def ask_for_switches(client: df.DurableOrchestrationClient, now: datetime) -> None:
    """Ask for each switch that lies behind us; a timer that came late or twice asks for the same ones."""
    rules = schedules.schedule_rules()
    found: dict[str, set[datetime]] = defaultdict(set)
    for subscription in landing_zones.subscriptions():
        async for resource in resources.list_tagged(subscription, rules.tag):
            application, at = tagging.owner_of(resource.tags), _switched_at(resource, rules, now)
            if application and at:
                found[application].add(at)
    for application, moments in sorted(found.items()):
        await apart(application, accept(client, _asked(application, max(moments))))


def _switched_at(resource: resources.Resource, rules: ScheduleRules, now: datetime) -> datetime | None:
    try:
        schedule = schedules.schedule_of((resource.tags or {}).get(rules.tag, ""), rules)
    except UnreadableScheduleError as error:
        LOGGER.warning("the schedule of %s cannot be read: %s", resource.id, error)
        return None
    last = schedule.last_switch(now) if schedule else None
    return last[0] if last else None


def _asked(application: str, at: datetime) -> AskedOperation:
    moment = at.isoformat().replace("+00:00", "Z")
    return asked_by_timer(application, "apply-schedule", f"schedule/{moment}", parameters={"at": moment})


bound = blueprint.durable_client_input(client_name="client")(apply_schedules)
timed = blueprint.timer_trigger(arg_name="timer", schedule="0 */15 * * * *")(bound)
blueprint.function_name("apply_schedules")(timed)
