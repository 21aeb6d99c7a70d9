"""Delegations: written once, taken back by a date, and audited in a trail of their own."""

from shared.clock import utc_now
from shared.errors import StateConflictError, TransientIntegrationError, VendorCall
from shared.models.delegations import Delegation
from shared.register import audit
from shared.register._table import RowConflictError, Write, commit, document_of, read_many, scan

_PARTITION = "directory:delegations"  # no application can have this name
_TRIES = 50


def _key(delegation: Delegation) -> str:
    return f"delegation:{delegation.delegate}:{delegation.id}"


async def every() -> list[Delegation]:
    """All delegations, those that are over too; the latest first."""
    found = [Delegation.model_validate(row.document) async for row in scan(_PARTITION, "delegation:")]
    return sorted(found, key=lambda item: item.created_at, reverse=True)


async def to(delegate: str) -> list[Delegation]:
    """What was ever delegated to somebody."""
    return [Delegation.model_validate(row.document) async for row in scan(_PARTITION, f"delegation:{delegate}:")]


async def create(delegation: Delegation) -> Delegation:
    """Write a delegation down; the same one twice is one, and the first stays.

    Raises:
        StateConflictError: this one was taken back.
    """
    text = f"to {delegation.delegate} until {delegation.until}: {', '.join([*delegation.roles, *delegation.teams])}"
    entry = _entry(delegation, "delegate", delegation.delegator, f"{text}: {delegation.reason}", delegation.created_at)
    for _ in range(_TRIES):
        rows = await read_many(_PARTITION, [_key(delegation), audit.HEAD])
        if _key(delegation) in rows:
            found = Delegation.model_validate(rows[_key(delegation)].document)
            if found.revoked_at:
                raise StateConflictError("revoked", "This delegation was taken back; a new one has another end.")
            return found
        writes = [Write(_key(delegation), document_of(delegation)), *audit.append(rows.get(audit.HEAD), entry)]
        try:
            await commit(_PARTITION, writes)
        except RowConflictError:
            continue
        return delegation
    raise _busy()


async def revoke(delegation: Delegation, actor: str) -> Delegation:
    """Take a delegation back; twice is once."""
    now = utc_now()
    entry = _entry(delegation, "revoke", actor, f"delegation to {delegation.delegate} taken back", now)
    for _ in range(_TRIES):
        rows = await read_many(_PARTITION, [_key(delegation), audit.HEAD])
        row = rows[_key(delegation)]
        found = Delegation.model_validate(row.document)
        if found.revoked_at:
            return found
        new = found.model_copy(update={"revoked_at": now})
        writes = [Write(row.key, document_of(new), etag=row.etag), *audit.append(rows.get(audit.HEAD), entry)]
        try:
            await commit(_PARTITION, writes)
        except RowConflictError:
            continue
        return new
    raise _busy()


def _entry(delegation: Delegation, action: str, actor: str, detail: str, at: str) -> audit.Entry:
    return audit.Entry(f"{delegation.id}:{action}", at, actor, action, delegation.id, detail)


def _busy() -> TransientIntegrationError:
    return TransientIntegrationError(
        VendorCall("table storage", "transaction", 412), "delegations are written too often"
    )
