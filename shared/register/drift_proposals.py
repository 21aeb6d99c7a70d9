"""Proposals to put an environment right: one row for each environment."""

from collections.abc import AsyncIterator, Sequence

from shared.clock import utc_now
from shared.models.drift_proposals import ProposalRecord, ProposalState
from shared.register._records import records_in_states
from shared.register._table import RowConflictError, Write, commit, document_of, read, scan


def _key(environment: str) -> str:
    return f"drift-proposal:{environment}"


async def find(application: str, environment: str) -> ProposalRecord:
    """The environment's proposal; one that was never made is closed."""
    row = await read(application, _key(environment))
    if row is None:
        return ProposalRecord(application=application, environment=environment)
    return ProposalRecord.model_validate(row.document)


async def of_application(application: str) -> list[ProposalRecord]:
    """The proposals of an application, by environment."""
    return [ProposalRecord.model_validate(row.document) async for row in scan(application, "drift-proposal:")]


def in_states(states: Sequence[ProposalState]) -> AsyncIterator[ProposalRecord]:
    """Proposals of all applications in one of the states."""
    return records_in_states(ProposalRecord, "drift-proposal", states)


async def replace(old: ProposalRecord, **update: object) -> ProposalRecord | None:
    """Change the row if it still is as it was seen.

    Returns:
        The new row; None when somebody else was faster.
    """
    key = _key(old.environment)
    row = await read(old.application, key)
    seen = ProposalRecord.model_validate(row.document) if row else None
    if seen is not None and seen != old:
        return None
    new = old.model_copy(update={**update, "updated_at": utc_now()})
    try:
        await commit(old.application, [Write(key, document_of(new), etag=row.etag if row else None)])
    except RowConflictError:
        return None
    return new
