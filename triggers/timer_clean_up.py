"""Once a day the whole inventory is read; applications with something unused are swept, and what is due is removed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import azure.durable_functions as df
import azure.functions as func

from shared import clean_up, landing_zones
from shared.clean_up_filters import UnreadableResourceError
from shared.clean_up_rules import Policy, clean_up_policies
from shared.clients.resource_graph import InventoryItem, Unreadable, read_inventory
from shared.log import LOGGER
from shared.models.clean_up import OrphanRecord, TombstoneState
from shared.models.operations import RUNNING_STATES, AskedOperation
from shared.plan import group_of
from shared.register import operations, orphans, requests, tombstones
from triggers._operation_intake import accept, asked_by_timer
from triggers._sweeping import apart

blueprint = df.Blueprint()
_LIVING = ("active", "expired")
_NAMED = 20


async def clean_up_orphans(timer: func.TimerRequest, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG001 - the SDK sets the hint
    """Ask for the sweeps and removals of this day: one that was asked for before is not asked for again."""
    await ask_for_clean_up(client, datetime.now(UTC))


async def ask_for_clean_up(client: df.DurableOrchestrationClient, now: datetime) -> None:
    """Ask for what is to do on this day; a timer that came late or twice asks for the same."""
    policies, groups = clean_up_policies(), await _groups()
    living = set(groups.values())
    known = [orphan async for orphan in orphans.every() if orphan.application in living]
    concerned = {orphan.application for orphan in known}
    unowned = list[str]()
    async for item in _unused(policies, now):
        application = groups.get("/".join(item.id.split("/")[:5]).lower())
        if application:
            concerned.add(application)
        else:
            unowned.append(item.id)
    if unowned:
        LOGGER.warning("%s orphans are in no application's group: %s", len(unowned), ", ".join(unowned[:_NAMED]))
    for application in sorted(concerned):
        await apart(application, accept(client, _asked(clean_up.MARK, application, None, now)))
    for application, stage in sorted(await _due(known, living, now)):
        await apart(application, _ask_once(client, application, stage, now))


async def _groups() -> dict[str, str]:
    """The application of each resource group, by the ids of the groups in lower case."""
    asked = {record.id: record async for record in requests.every()}
    found: dict[str, str] = {}
    async for application in requests.applications():
        request = asked.get(application.request_id)
        if request and application.state in _LIVING:
            found |= {group_of(request, stage).lower(): application.name for stage in application.environments}
    return found


async def _unused(policies: tuple[Policy, ...], now: datetime) -> AsyncIterator[InventoryItem]:
    """Everything that a policy would mark; one that cannot be read is named in the log, and by its own sweep."""
    types = sorted({policy.kind.type for policy in policies})
    async for item in read_inventory(landing_zones.subscriptions(), types):
        if isinstance(item, Unreadable):
            LOGGER.warning("a row of the inventory cannot be read: %s", item.why)
            continue
        try:
            if clean_up.judge(policies, item.document(), now, None).mark:
                yield item
        except UnreadableResourceError as error:
            LOGGER.warning("%s cannot be judged: %s", item.id, error)


async def _due(known: list[OrphanRecord], living: set[str], now: datetime) -> set[tuple[str, str]]:
    """Applications and stages in which something may go today."""
    today = now.date()
    due = {
        (orphan.application, orphan.environment)
        for orphan in known
        if orphan.due and orphan.due <= today and clean_up.was_announced(orphan, today)
    }
    async for record in tombstones.every():
        over = datetime.fromisoformat(record.keep_until) <= now
        kept = record.snapshot and record.state is not TombstoneState.FORGOTTEN
        if over and kept and record.application in living:
            due.add((record.application, record.environment))
    return due


async def _ask_once(client: df.DurableOrchestrationClient, application: str, stage: str, now: datetime) -> None:
    """Ask for a removal, unless one of an earlier day still waits for a person."""
    waiting = [
        record
        for record in await operations.of_application(application)
        if record.operation == clean_up.REMOVE and record.environment == stage and record.state in RUNNING_STATES
    ]
    if not waiting:
        await accept(client, _asked(clean_up.REMOVE, application, stage, now))


def _asked(operation: str, application: str, stage: str | None, now: datetime) -> AskedOperation:
    day = now.date().isoformat()
    key = f"{operation}/{stage or 'all'}/{day}"
    return asked_by_timer(application, operation, key, environment=stage, parameters={"at": f"{day}T00:00:00Z"})


bound = blueprint.durable_client_input(client_name="client")(clean_up_orphans)
timed = blueprint.timer_trigger(arg_name="timer", schedule="0 10 5 * * *")(bound)
blueprint.function_name("clean_up_orphans")(timed)
