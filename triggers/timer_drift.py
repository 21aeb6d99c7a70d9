"""Once a day every environment is compared with its code, a few at a time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from shared.instance_ids import operation_id
from shared.models.operations import RUNNING_STATES, AskedOperation
from shared.models.records import ApplicationRecord
from shared.register import operations, requests
from shared.settings import AppStoreSettings, load
from triggers._operation_intake import accept, asked_by_timer
from triggers._sweeping import apart

blueprint = df.Blueprint()

OPERATION = "detect-drift"


async def watch_drift(timer: func.TimerRequest, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG001 - the SDK sets the hint
    """Start what is due; what does not find room is started ten minutes later. One a day for each environment."""
    await start_due(client, datetime.now(UTC).date().isoformat(), load(AppStoreSettings).drift_parallel)


async def start_due(client: Any, day: str, parallel: int) -> int:
    """Start so many comparisons as have room; one that failed yesterday is none that runs, and does not count.

    Returns:
        How many were started.
    """
    running = [record async for record in operations.in_states(sorted(RUNNING_STATES)) if record.operation == OPERATION]
    # One that waits for a person takes no pipeline.
    room = parallel - sum(record.state != "awaiting_approval" for record in running)
    started = 0
    async for asked in _due(day):
        if started >= room:
            break
        await apart(f"{asked.application} {asked.environment}", accept(client, asked))
        started += 1
    return started


async def _due(day: str) -> AsyncIterator[AskedOperation]:
    """Every environment that was not compared today."""
    living = [record async for record in requests.applications() if record.state in ("active", "expired")]
    for application in sorted(living, key=lambda record: record.name):
        for environment in application.environments:
            asked = _asked(application, environment, day)
            identifier = operation_id(application.name, OPERATION, asked.business_key)
            if await operations.find(application.name, identifier) is None:
                yield asked


def _asked(application: ApplicationRecord, environment: str, day: str) -> AskedOperation:
    key, reason = f"{day}\x00{environment}", f"daily comparison of {day}"
    return asked_by_timer(application.name, OPERATION, key, environment=environment, reason=reason)


bound = blueprint.durable_client_input(client_name="client")(watch_drift)
timed = blueprint.timer_trigger(arg_name="timer", schedule="0 */10 1-5 * * *")(bound)
blueprint.function_name("watch_drift")(timed)
