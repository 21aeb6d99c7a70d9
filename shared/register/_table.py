"""Rows, conditional writes and transactions on one table.

Documentation: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

from shared.credential import credential
from shared.errors import TransientIntegrationError, VendorCall
from shared.models import Model
from shared.per_loop import per_loop
from shared.settings import USER_AGENT, AppStoreSettings, load

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

TABLE = "register"
_COMPARISONS = 15  # in one question, says Table Storage; the emulator takes any number
_PRESENT = frozenset({"EntityAlreadyExists", "RowAlreadyExists"})
_MOVED = frozenset({"UpdateConditionNotSatisfied", "ConditionNotMet", "ResourceNotFound", "EntityNotFound"})


class RowConflictError(Exception):
    """A condition of the write does not hold: the row exists already, is gone, or has changed.

    Attributes:
        row: the row that is in the way, where it was read already.
    """

    def __init__(self, code: str, row: "Row | None" = None) -> None:
        super().__init__(code)
        self.row = row


@dataclass(frozen=True)
class Row:
    """A row as read: its key, its document, the ETag to write it back with, and its partition."""

    key: str
    document: dict[str, Any]
    etag: str
    partition: str = ""


@dataclass(frozen=True)
class Write:
    """One write of a transaction.

    Attributes:
        key: row key.
        document: the new document; None deletes the row.
        etag: write only if the row is still at this ETag; None inserts a row that must not exist.
        force: write whatever is there.
    """

    key: str
    document: Mapping[str, Any] | None
    etag: str | None = None
    force: bool = False


@per_loop
def _lock() -> asyncio.Lock:
    return asyncio.Lock()


@per_loop
def _ready() -> list["TableClient"]:
    return []


async def _table() -> "TableClient":
    """The table, created at first use."""
    ready = _ready()
    async with _lock():
        if not ready:
            from azure.core.exceptions import ResourceExistsError  # noqa: PLC0415 - heavy
            from azure.data.tables.aio import TableClient  # noqa: PLC0415 - heavy

            account = load(AppStoreSettings).storage_account
            host = f"{account}.table.core.windows.net"
            table = TableClient(
                f"https://{host}", TABLE, credential=credential(), user_agent=USER_AGENT, **_transport(host)
            )
            try:
                with suppress(ResourceExistsError):
                    await table.create_table()
            except BaseException:
                await table.close()  # the next caller starts with a new client
                raise
            ready.append(table)
    return ready[0]


def _transport(host: str) -> dict[str, Any]:
    """The environment's proxies, looked up once: by itself aiohttp looks for them, and for a .netrc, at every call."""
    from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415 - heavy

    proxies = {} if proxy_bypass(host) else getproxies()
    return {"transport": AioHttpTransport(use_env_settings=False), "proxies": proxies}


def kind(key: str) -> str:
    """Kind of row: the part of the key before the first colon."""
    return key.partition(":")[0]


def _entity(partition: str, key: str, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "PartitionKey": partition,
        "RowKey": key,
        "kind": kind(key),
        "state": str(document.get("state", "")),
        "document": json.dumps(document, ensure_ascii=False, separators=(",", ":")),
    }


def _operation(partition: str, write: Write) -> tuple[Any, ...]:
    from azure.core import MatchConditions  # noqa: PLC0415 - heavy
    from azure.data.tables import UpdateMode  # noqa: PLC0415 - heavy

    condition = {"etag": write.etag, "match_condition": MatchConditions.IfNotModified} if write.etag else {}
    if write.document is None:
        return "delete", {"PartitionKey": partition, "RowKey": write.key}, condition
    entity = _entity(partition, write.key, write.document)
    if write.force:
        return "upsert", entity, {"mode": UpdateMode.REPLACE}
    if write.etag:
        return "update", entity, {"mode": UpdateMode.REPLACE, **condition}
    return "create", entity


async def commit(partition: str, writes: Sequence[Write]) -> list[str]:
    """Do all writes or none; returns the ETags of the rows.

    Raises:
        RowConflictError: a condition does not hold; nothing was written.
        TransientIntegrationError: the storage account does not answer.
    """
    from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415 - heavy

    try:
        table = await _table()
        done = await _submit(table, [_operation(partition, write) for write in writes])
    except HttpResponseError as error:
        code = str(getattr(error, "error_code", "") or "")
        code = code.rsplit(".", 1)[-1]
        if code in _PRESENT | _MOVED or error.status_code in (404, 409, 412):
            raise RowConflictError(code) from error
        raise _transient("write", error) from error
    except AzureError as error:
        raise _transient("write", error) from error
    return [str(one.get("etag", "")) for one in done]


async def _submit(table: "TableClient", operations: Sequence[tuple[Any, ...]]) -> Sequence[Mapping[str, Any]]:
    """A row that is written alone needs no transaction, which costs several times as much."""
    (verb, entity, *options), *others = operations
    if others or verb == "delete":  # by itself, a removal of what is gone is silently a success
        return await table.submit_transaction(operations)
    call = {"create": table.create_entity, "update": table.update_entity, "upsert": table.upsert_entity}[verb]
    return [await call(entity, **(options[0] if options else {}))]


async def read(partition: str, key: str) -> Row | None:
    """One row, or None."""
    from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 - heavy

    try:
        table = await _table()
        return _row(await table.get_entity(partition, key))
    except ResourceNotFoundError:
        return None
    except AzureError as error:
        raise _transient("read", error) from error


async def read_many(partition: str, keys: Sequence[str]) -> dict[str, Row]:
    """Several rows of a partition, in as few questions as the service allows; missing ones are left out.

    Documentation: https://learn.microsoft.com/rest/api/storageservices/querying-tables-and-entities
    """
    found = dict[str, Row]()
    for some in batched(keys, _COMPARISONS - 1, strict=False):  # the partition is one comparison more
        wanted = " or ".join(f"RowKey eq '{_quoted(key)}'" for key in some)
        condition = f"PartitionKey eq '{_quoted(partition)}' and ({wanted})"
        found |= {row.key: row async for row in query(condition)}
    return found


async def scan(partition: str, prefix: str) -> AsyncIterator[Row]:
    """The rows of a partition whose key starts with ``prefix``, in key order."""
    low, high = _quoted(prefix), _quoted(prefix[:-1] + chr(ord(prefix[-1]) + 1))
    async for row in query(f"PartitionKey eq '{_quoted(partition)}' and RowKey ge '{low}' and RowKey lt '{high}'"):
        yield row


async def query(condition: str) -> AsyncIterator[Row]:
    """Rows that fulfil an OData condition, every page."""
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - heavy

    try:
        table = await _table()
        async for entity in table.query_entities(condition):
            yield _row(entity)
    except AzureError as error:
        raise _transient("read", error) from error


def _row(entity: Any) -> Row:
    document, etag = json.loads(entity["document"]), str(entity.metadata["etag"])
    return Row(entity["RowKey"], document, etag, entity["PartitionKey"])


def document_of(model: Model) -> dict[str, Any]:
    """A model as a row's document."""
    return dict(model.document())


def _quoted(value: str) -> str:
    return value.replace("'", "''")


def _transient(operation: str, error: Exception) -> TransientIntegrationError:
    status = getattr(error, "status_code", None)
    return TransientIntegrationError(VendorCall("table storage", operation, status), type(error).__name__)
