"""What is used of what is limited: one reservation per request, and their sum, always written together.

A team's quota is kept under its name; how full the landing zones are, under ``ZONES``.
"""

from collections.abc import Callable

from shared.errors import StateConflictError, TransientIntegrationError, VendorCall
from shared.quotas import Use
from shared.register._table import Row, RowConflictError, Write, commit, document_of, read, read_many

ZONES = "landing zones"  # no team: their names have no space
_SUM = "sum"
_TRIES = 200  # in each round one writer gets through, and a hundred may come at once


def _partition(team: str) -> str:
    return f"quota:{team}"


async def used(team: str) -> Use:
    """What the team uses now."""
    return _use(await read(_partition(team), _SUM))


async def reserve(team: str, request_id: str, more: Use, exceeded: Callable[[Use], list[str]]) -> None:
    """Reserve what a request uses; the same request twice is one reservation.

    Args:
        team: the owner team.
        request_id: the request.
        more: what it uses.
        exceeded: given what the team uses now, sentences about the limits that would be passed.

    Raises:
        StateConflictError: it does not fit.
    """
    key = _key(request_id)
    for _ in range(_TRIES):
        rows = await read_many(_partition(team), [_SUM, key])
        if key in rows:
            return
        total = _use(rows.get(_SUM))
        if sentences := exceeded(total):
            raise StateConflictError("quota", "; ".join(sentences))
        if await _written(team, Write(key, document_of(more)), rows.get(_SUM), total.plus(more)):
            return
    raise _busy(team)


async def release(team: str, request_id: str) -> None:
    """Give back what a request reserved; nothing reserved is success."""
    key = _key(request_id)
    for _ in range(_TRIES):
        rows = await read_many(_partition(team), [_SUM, key])
        if key not in rows:
            return
        rest = _use(rows.get(_SUM)).plus(_use(rows[key]), sign=-1)
        if await _written(team, Write(key, None, etag=rows[key].etag), rows.get(_SUM), rest):
            return
    raise _busy(team)


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


def _key(request_id: str) -> str:
    return f"reservation:{request_id}"


def _busy(team: str) -> TransientIntegrationError:
    return TransientIntegrationError(
        VendorCall("table storage", "transaction", 412), f"the quota of {team} is written too often"
    )
