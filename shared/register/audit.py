"""The audit trail of an application: a chain of hashes, written together with what it tells of."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from shared.canonical import digest
from shared.models.records import AuditHead, AuditRecord
from shared.register._table import Row, Write, document_of, query, scan

HEAD = "audit-head"
GENESIS = "0" * 64


@dataclass(frozen=True)
class Entry:
    """What is to be recorded.

    Attributes:
        id: deterministic: the same event twice has the same id and leaves one entry.
        at: ISO time.
        actor: object id of the person or service, or ``appstore``.
        action: verb, for example ``approve``.
        request_id: the request concerned.
        detail: a sentence.
    """

    id: str
    at: str
    actor: str
    action: str
    request_id: str
    detail: str


def entry_key(entry: Entry) -> str:
    """Row key of an entry."""
    return f"audit:{entry.id}"


def append(head: Row | None, entry: Entry) -> list[Write]:
    """The writes that add an entry after ``head``: the entry itself and the new head."""
    sequence = head.document["sequence"] + 1 if head else 1
    previous = head.document["hash"] if head else GENESIS
    body = {
        "entryId": entry.id,
        "sequence": sequence,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "requestId": entry.request_id,
        "detail": entry.detail,
        "previousHash": previous,
    }
    record = AuditRecord.model_validate({**body, "hash": digest(body)})
    return [
        Write(entry_key(entry), document_of(record)),
        Write(HEAD, {"sequence": sequence, "hash": record.hash}, etag=head.etag if head else None),
    ]


def hash_of(record: AuditRecord) -> str:
    """The hash that an entry must have: over everything in it but the hash itself."""
    document = record.document()
    return digest({name: value for name, value in document.items() if name not in ("hash", "schemaVersion")})


async def of_application(application: str) -> list[AuditRecord]:
    """The trail of an application in its order."""
    rows = [AuditRecord.model_validate(row.document) async for row in scan(application, "audit:")]
    return sorted(rows, key=lambda record: record.sequence)


async def every() -> AsyncIterator[tuple[str, AuditRecord]]:
    """Every entry with its application, in no particular order."""
    async for row in query("kind eq 'audit'"):
        yield row.partition, AuditRecord.model_validate(row.document)


async def heads() -> dict[str, AuditHead]:
    """The end of each application's trail."""
    return {row.partition: AuditHead.model_validate(row.document) async for row in query(f"kind eq '{HEAD}'")}
