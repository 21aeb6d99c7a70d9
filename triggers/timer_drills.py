"""Stages whose restore must be proven again get a drill, a few at a time, and nothing of a drill stays for ever."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from shared.backup_coverage import due_on
from shared.backup_rules import backup_rule
from shared.instance_ids import operation_id
from shared.models.backups import DataKind, DrillRecord
from shared.models.operations import RUNNING_STATES, AskedOperation
from shared.models.records import ApplicationRecord
from shared.plan import group_of
from shared.protection.inventory import data_by_group
from shared.register import drills, operations, requests
from shared.settings import AppStoreSettings, load
from triggers._drill_sweep import remove_what_drills_left
from triggers._operation_intake import accept, asked_by_timer
from triggers._sweeping import apart

blueprint = df.Blueprint()
_DRILL = "drill-restore"
_LIVING = ("active", "expired")
_AGAIN = 7  # days after which a drill that is still due is asked for again


async def drill_restores(timer: func.TimerRequest, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG001 - the SDK sets the hint
    """Remove what drills left, and ask for those that are due; what finds no room is asked for ten minutes later."""
    await remove_what_drills_left(client, datetime.now(UTC))
    await ask_for_drills(client, datetime.now(UTC).date(), load(AppStoreSettings).drill_parallel)


async def ask_for_drills(client: Any, today: date, parallel: int) -> int:
    """Ask for so many drills as have room: one for each due date, however often and late the timer comes.

    A drill that did not pass leaves its date as it is; a week later it is asked for once more.

    Returns:
        How many were asked for.
    """
    running = [record async for record in operations.in_states(sorted(RUNNING_STATES)) if record.operation == _DRILL]
    busy = {(record.application, record.environment) for record in running}
    room = parallel - len(running)
    if room <= 0:
        return 0
    asked_for = 0
    async for asked in _due(today):
        if asked_for >= room:
            break
        if (asked.application, asked.environment) not in busy:
            asked_for += await apart(f"{asked.application} {asked.environment}", accept(client, asked))
    return asked_for


async def _due(today: date) -> AsyncIterator[AskedOperation]:
    """Every stage with data whose day has come, and that was not asked for yet."""
    known: dict[str, list[DrillRecord]] = defaultdict(list)
    async for drill in drills.every():
        if drill.ended_at:
            known[drill.application].append(drill)
    requested = {record.id: record async for record in requests.every()}
    living = [record async for record in requests.applications() if record.state in _LIVING]
    data = await data_by_group()
    for application in sorted(living, key=lambda record: record.name):
        history = sorted(known[application.name], key=lambda drill: drill.begun_at, reverse=True)
        request = requested.get(application.request_id)
        if request is None:
            continue
        for environment in application.environments:
            there = data.get(group_of(request, environment).lower(), {})
            asked = _asked(application, environment, there, history, today)
            if asked and await _is_new(asked):
                yield asked


def _asked(
    application: ApplicationRecord,
    environment: str,
    there: dict[str, DataKind],
    history: list[DrillRecord],
    today: date,
) -> AskedOperation | None:
    rule, made = backup_rule(environment), datetime.fromisoformat(application.created_at).date()
    drilled = [resource for resource, kind in there.items() if kind in rule.drilled]
    due = due_on((application.name, environment), drilled, history, rule, made)
    if due is None or today < due:
        return None
    again = (today - due).days // _AGAIN
    key, reason = f"drill/{environment}/{due}/{again}", f"the drill was due on {due}"
    return asked_by_timer(application.name, _DRILL, key, environment=environment, reason=reason)


async def _is_new(asked: AskedOperation) -> bool:
    identifier = operation_id(asked.application, asked.operation, asked.business_key)
    return await operations.find(asked.application, identifier) is None


bound = blueprint.durable_client_input(client_name="client")(drill_restores)
timed = blueprint.timer_trigger(arg_name="timer", schedule="0 5-55/10 1-5 * * *")(bound)
blueprint.function_name("drill_restores")(timed)
