"""What is used of what is limited: one reservation per request, and their sum, always written together.

A team's quota is kept under its name; how full the landing zones are, under ``ZONES``.

Several attempts may take in the same request at the same time, so a reservation has holders: it goes with its last one,
and an attempt that fails lets go of its own part only. From the first plan on the request itself is the only holder.
Once the request has given it back, nobody reserves for it again, however late an attempt comes.
"""

from collections.abc import Callable

from shared.errors import StateConflictError, TransientIntegrationError, VendorCall
from shared.quotas import Use
from shared.register._table import Row, RowConflictError, Write, commit, document_of, read, read_many

ZONES = "landing zones"  # no team: their names have no space
REQUEST = "request"
_SUM = "sum"
_TRIES = 200  # in each round one writer gets through, and a hundred may come at once

type Exceeded = Callable[[Use, Use], list[str]]


class _Reservation(Use):
    """A request's reservation. What was written before there were holders belongs to the request.

    Attributes:
        holders: who keeps it: attempts to take the request in, or the request itself.
        closed: the request gave it back for good.
    """

    holders: tuple[str, ...] = (REQUEST,)
    closed: bool = False

    def use(self) -> Use:
        """What is reserved, without who holds it."""
        return Use(applications=self.applications, monthly=self.monthly, items=self.items)


def _partition(team: str) -> str:
    return f"quota:{team}"


async def used(team: str) -> Use:
    """What the team uses now."""
    return _use(await read(_partition(team), _SUM))


async def reserve(team: str, request_id: str, more: Use, exceeded: Exceeded, holder: str = REQUEST) -> None:
    """Reserve what a request uses; the same holder twice is one reservation.

    What an attempt finds reserved it shares. The request takes the reservation over and brings it to what its plan
    uses now: what it no longer uses is free in the same instant.

    Args:
        team: the owner team.
        request_id: the request.
        more: what it uses.
        exceeded: given what is used without the growth, and the growth: sentences about the limits that it would pass.
        holder: the attempt, or the request itself.

    Raises:
        StateConflictError: it does not fit.
    """
    key = _key(request_id)
    for _ in range(_TRIES):
        rows = await read_many(_partition(team), [_SUM, key])
        total, old = _use(rows.get(_SUM)), _reservation(rows.get(key))
        if old and (old.closed or (holder in old.holders and (holder != REQUEST or old.use() == more))):
            return
        new = _held(old, more, holder)
        rest = total.plus(old.use(), sign=-1) if old else total
        growth = new.use().beyond(old.use() if old else Use())
        after = rest.plus(new.use())
        if growth != Use() and (sentences := exceeded(after.plus(growth, sign=-1), growth)):
            raise StateConflictError("quota", "; ".join(sentences))
        if await _written(team, _write(key, new, rows.get(key)), rows.get(_SUM), after):
            return
    raise _busy(team)


def _held(old: _Reservation | None, more: Use, holder: str) -> _Reservation:
    if holder == REQUEST or old is None:
        return _Reservation(**more.model_dump(), holders=(holder,))
    return old.model_copy(update={"holders": (*old.holders, holder)})


async def let_go(team: str, request_id: str, holder: str | None = None) -> None:
    """Give up what one attempt holds, or with ``None`` all attempts; what the request itself holds stays."""
    key = _key(request_id)
    for _ in range(_TRIES):
        rows = await read_many(_partition(team), [_SUM, key])
        old = _reservation(rows.get(key))
        if old is None or old.closed:
            return
        gone = {holder} if holder else set(old.holders) - {REQUEST}
        kept = tuple(name for name in old.holders if name not in gone)
        if kept == old.holders:
            return
        total = _use(rows.get(_SUM))
        write = _write(key, old.model_copy(update={"holders": kept}) if kept else None, rows[key])
        if await _written(team, write, rows.get(_SUM), total if kept else total.plus(old.use(), sign=-1)):
            return
    raise _busy(team)


async def close(team: str, request_id: str) -> None:
    """Give back all that a request reserved, whoever holds it, for good; a repeat changes nothing."""
    key = _key(request_id)
    for _ in range(_TRIES):
        rows = await read_many(_partition(team), [_SUM, key])
        old = _reservation(rows.get(key))
        if old and old.closed:
            return
        rest = _use(rows.get(_SUM)).plus(old.use() if old else Use(), sign=-1)
        closed = _Reservation(holders=(), closed=True)
        if await _written(team, _write(key, closed, rows.get(key)), rows.get(_SUM), rest):
            return
    raise _busy(team)


def _write(key: str, new: _Reservation | None, before: Row | None) -> Write:
    return Write(key, document_of(new) if new else None, etag=before.etag if before else None)


async def _written(team: str, change: Write, before: Row | None, total: Use) -> bool:
    """Whether reservation and sum were written; not when somebody else was faster."""
    head = Write(_SUM, document_of(total), etag=before.etag if before else None)
    try:
        await commit(_partition(team), [change, head])
    except RowConflictError:
        return False
    return True


def _use(row: Row | None) -> Use:
    return Use.model_validate(row.document) if row else Use()


def _reservation(row: Row | None) -> _Reservation | None:
    return _Reservation.model_validate(row.document) if row else None


def _key(request_id: str) -> str:
    return f"reservation:{request_id}"


def _busy(team: str) -> TransientIntegrationError:
    return TransientIntegrationError(
        VendorCall("table storage", "transaction", 412), f"the quota of {team} is written too often"
    )
