"""Once a day the histories of orchestrations that ended long ago are purged; rows and audit trails stay."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched

import azure.durable_functions as df
import azure.functions as func
from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus

from shared.log import LOGGER
from shared.models.campaigns import CampaignState
from shared.models.operations import RUNNING_STATES as OPERATIONS_RUN
from shared.models.promotions import RUNNING_STATES as PROMOTIONS_RUN
from shared.models.records import RUNNING_STATES as REQUESTS_RUN
from shared.register import campaigns, operations, promotions, requests
from triggers._intake import history_kept
from triggers._sweeping import apart

blueprint = df.Blueprint()

_Status = df.OrchestrationRuntimeStatus
_ENDED = [_Status.Completed, _Status.Failed, _Status.Terminated, _Status.Canceled]
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_MARGIN = timedelta(hours=1)  # clocks of the app and of the storage service
_DAYS = 60  # windows of a day each: what was kept in one hides nothing in another
_AT_ONCE = 10
_MOST = 5000  # a day; what is more waits for the next one


async def purge_histories(timer: func.TimerRequest, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG001 - the SDK sets the hint
    """Purge what ended before the days that the setting says; a second run of the day finds nothing."""
    purged = await purge_what_is_old(client, datetime.now(UTC))
    if purged:
        LOGGER.info("the histories of %s orchestrations were purged", purged)


async def purge_what_is_old(client: df.DurableOrchestrationClient, now: datetime, most: int = _MOST) -> int:
    """Purge finished instances that ended long ago, unless their record is still open; returns how many."""
    before = now - history_kept() - _MARGIN
    needed = {identifier async for identifier in _open_records()}
    purged = 0
    for since, until in _windows(before):
        while purged < most:  # the SDK reads the first page of a list only
            found = await client.get_status_by(created_time_from=since, created_time_to=until, runtime_status=_ENDED)
            old = [status for status in found if _is_over(status, before, needed)][: most - purged]
            gone = await _purge(client, old)
            purged += gone
            if not gone:
                break
    return purged


def _windows(before: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Times of creation, the oldest first."""
    oldest = before - timedelta(days=_DAYS)
    yield _EPOCH, oldest
    yield from ((oldest + timedelta(days=day), oldest + timedelta(days=day + 1)) for day in range(_DAYS))


def _is_over(status: DurableOrchestrationStatus, before: datetime, needed: set[str]) -> bool:
    """Whether an instance ended before, for a record that waits for nothing; children have the id of their root."""
    ended = status.runtime_status in _ENDED and status.last_updated_time
    return bool(ended and ended < before and str(status.instance_id).partition(":")[0] not in needed)


async def _open_records() -> AsyncIterator[str]:
    """Whose instances the sweep looks at: it starts those that are missing, and parks those that have ended."""
    async for request in requests.in_states(sorted(REQUESTS_RUN)):
        yield request.id
    async for operation in operations.in_states(sorted(OPERATIONS_RUN)):
        yield operation.id
    async for promotion in promotions.in_states(sorted(PROMOTIONS_RUN)):
        yield promotion.id
    async for campaign in campaigns.in_state(CampaignState.RUNNING):
        yield campaign.id


async def _purge(client: df.DurableOrchestrationClient, old: Sequence[DurableOrchestrationStatus]) -> int:
    """Purge these, some at once; one that fails keeps no other, and is tried again on the next day."""
    gone: list[str] = []

    async def purge(instance: str) -> None:
        if (await client.purge_instance_history(instance)).instances_deleted:
            gone.append(instance)

    for part in batched(old, _AT_ONCE, strict=False):
        names = [str(status.instance_id) for status in part]
        await asyncio.gather(*(apart(f"history {name}", purge(name)) for name in names))
    return len(gone)


bound = blueprint.durable_client_input(client_name="client")(purge_histories)
timed = blueprint.timer_trigger(arg_name="timer", schedule="0 50 0 * * *")(bound)
blueprint.function_name("purge_histories")(timed)
