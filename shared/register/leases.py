"""One mutation per application at a time: the holder of the lease row."""

from datetime import datetime, timedelta

from shared.register._table import RowConflictError, Write, commit, read

_KEY = "lease"
LEASE_MINUTES = 15


async def acquire(application: str, holder: str, now: str) -> str:
    """Take the lease, or renew it if it is ours; returns the holder that has it now."""
    until = _later(now)
    row = await read(application, _KEY)
    if row and row.document["holder"] != holder and row.document["until"] > now:
        return str(row.document["holder"])
    try:
        await commit(application, [Write(_KEY, {"holder": holder, "until": until}, etag=row.etag if row else None)])
    except RowConflictError:
        winner = await read(application, _KEY)
        return str(winner.document["holder"]) if winner else holder
    return holder


async def renew(application: str, holder: str, now: str) -> None:
    """Keep the lease if it is ours; whoever waits for it does not get it by this."""
    row = await read(application, _KEY)
    if row and row.document["holder"] == holder:
        await acquire(application, holder, now)


async def release(application: str, holder: str) -> None:
    """Give the lease back; somebody else's lease is left alone."""
    row = await read(application, _KEY)
    if row and row.document["holder"] == holder:
        try:
            await commit(application, [Write(_KEY, None, etag=row.etag)])
        except RowConflictError:
            return  # renewed or taken over meanwhile: no longer ours to release


def _later(now: str) -> str:
    moment = datetime.fromisoformat(now) + timedelta(minutes=LEASE_MINUTES)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
