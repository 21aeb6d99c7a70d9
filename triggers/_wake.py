"""Waking an orchestration that waits. An event is a hint: losing one loses nothing, the sweep sends it again."""

import azure.durable_functions as df

from shared.instance_ids import child_instance
from shared.log import LOGGER
from shared.models.records import RequestRecord


async def wake(client: df.DurableOrchestrationClient, record: RequestRecord) -> None:
    """Tell the instances that may wait for a decision about this request to look again."""
    for round_ in {record.round, max(1, record.round - 1)}:
        instance = child_instance(record.instance_id, "approve", round_)
        try:
            await client.raise_event(instance, "decision", {})
        except Exception as error:  # noqa: BLE001 - the SDK raises bare Exception for unknown and finished instances
            LOGGER.info("no orchestration %s to wake: %s", instance, type(error).__name__)
