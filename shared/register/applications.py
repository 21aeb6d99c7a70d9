"""Applications, and the one way their rows change after the order: with their audit entry, or not at all."""

from collections.abc import Callable, Sequence

from shared.errors import StateConflictError, TransientIntegrationError, VendorCall
from shared.models.records import ApplicationRecord
from shared.register import audit
from shared.register._table import Row, RowConflictError, Write, commit, document_of, read_many
from shared.register.requests import APPLICATION

_TRIES = 50


async def change(
    name: str,
    work: Callable[[ApplicationRecord], tuple[ApplicationRecord, audit.Entry] | None],
    extra: Callable[[ApplicationRecord], Sequence[Write]] | None = None,
) -> ApplicationRecord:
    """Change an application's row together with its audit entry and further rows.

    Args:
        name: the application.
        work: makes the new record of the current one and tells what happened; None leaves it as it is. An entry that is
            in the trail already leaves it as it is, too: the same event twice is one change.
        extra: further writes; a row that must not exist yet, and does, means that all of this was done already.

    Returns:
        The record as it is now.

    Raises:
        StateConflictError: there is no such application any more.
    """
    for _ in range(_TRIES):
        rows = await read_many(name, [APPLICATION, audit.HEAD])
        if APPLICATION not in rows:
            raise StateConflictError("unknown", f"there is no application {name}")
        record = ApplicationRecord.model_validate(rows[APPLICATION].document)
        wanted = work(record)
        if wanted is None or await _told(name, wanted[1]):
            return record
        new, entry = wanted
        writes = [Write(APPLICATION, _document(rows[APPLICATION], new), etag=rows[APPLICATION].etag)]
        writes += audit.append(rows.get(audit.HEAD), entry)
        try:
            await commit(name, [*writes, *(extra(new) if extra else [])])
        except RowConflictError:
            continue
        return new
    raise TransientIntegrationError(VendorCall("table storage", "transaction", 412), f"{name} is written too often")


async def _told(name: str, entry: audit.Entry) -> bool:
    key = audit.entry_key(entry)
    return key in await read_many(name, [key])


def _document(row: Row, new: ApplicationRecord) -> dict[str, object]:
    """What a newer version of the app wrote into the row stays there."""
    return {**row.document, **document_of(new)}
