"""What drills left is removed: their own clean-up was refused, or nobody came to it."""

from datetime import datetime

import azure.durable_functions as df

from shared.instance_ids import removal_instance
from shared.models.operations import RUNNING_STATES, OperationInput
from shared.origin import Origin
from shared.register import drills, operations
from triggers._intake import pace, start_once
from triggers._sweeping import apart

_HOURS = 2  # so long a drill's own clean-up has, after the drill ended or was given up


async def remove_what_drills_left(client: df.DurableOrchestrationClient, now: datetime) -> int:
    """Begin to remove what ended drills left, once in an hour for each, however often the timer comes.

    Returns:
        How many drills left something.
    """
    left: set[tuple[str, str]] = set()
    async for drill in drills.every():
        since = datetime.fromisoformat(drill.ended_at or drill.begun_at)
        if drill.removed_at is None and (now - since).total_seconds() > _HOURS * 3600:
            left.add((drill.application, drill.operation))
    for application, operation in sorted(left):
        await apart(operation, _begin(client, application, operation, now))
    return len(left)


async def _begin(client: df.DurableOrchestrationClient, application: str, operation: str, now: datetime) -> None:
    record = await operations.get(application, operation)
    if record.state in RUNNING_STATES:
        return
    payload = OperationInput(
        request_id=operation,
        application=application,
        attempt=record.attempt,
        origin=Origin.SWEEP,
        flow_version=record.flow_version,
        pace=pace(),
    )
    instance = removal_instance(operation, now.strftime("%Y-%m-%dT%H"))
    await start_once(client, "remove_drill", instance, payload.document())
