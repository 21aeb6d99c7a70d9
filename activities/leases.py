"""The lease of an application: one change at a time, whoever makes it."""

from activities._activity import look
from shared.clock import utc_now
from shared.models.runs import ActivityInput, LeaseTaken
from shared.register import leases


@look
async def take_lease(data: ActivityInput) -> LeaseTaken:
    """Take the application's lease: one change at a time.

    Idempotency: a lease that is ours is renewed.
    """
    run = data.run
    return LeaseTaken(holder=await leases.acquire(run.application, run.request_id, utc_now()))
