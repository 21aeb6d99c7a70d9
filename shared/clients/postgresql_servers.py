"""Azure Database for PostgreSQL flexible servers: the size of their disks.

Documentation: https://learn.microsoft.com/rest/api/postgresql/servers
"""

from typing import Any

from pydantic import Field

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.guard import Permit
from shared.models import Model

_VERSION = "2026-10-01"
SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)  # GiB, Premium SSD


_ARM = arm()


class Storage(Model):
    """The disk of a server, in GiB."""

    storage_size_gb: int = Field(alias="storageSizeGB")


class _Properties(Model):
    state: str = ""
    storage: Storage


class Server(Model):
    """A flexible server."""

    id: str
    name: str
    tags: dict[str, str] | None = None
    properties: _Properties

    @property
    def size(self) -> int:
        """Size of its disk in GiB."""
        return self.properties.storage.storage_size_gb


async def read_server(server: str) -> Server:
    """A server by its ARM id.

    Raises:
        NotFoundError: it does not exist.
    """
    return await _ARM.read(Call("get server", "GET", server, params={"api-version": _VERSION}), Server)


def storage_of(size: int) -> dict[str, Any]:
    """Body of a change of the disk's size."""
    return {"properties": {"storage": {"storageSizeGB": size}}}


async def extend_storage(server: str, size: int, permit: Permit) -> None:
    """Ask for a larger disk, in GiB; Azure extends it while the server runs, and it never shrinks again."""
    call = Call(
        f"extend {permit.action.kind}",
        "PATCH",
        server,
        storage_of(size),
        params={"api-version": _VERSION},
        expect=(200, 202),
    )
    await _ARM.call(call)


def next_size(size: int, largest: int) -> int | None:
    """The next size of a disk in GiB; None when it would be more than the largest."""
    return next((one for one in SIZES if size < one <= largest), None)


class _Backup(Model):
    backup_retention_days: int = 0
    geo_redundant_backup: str = "Disabled"
    earliest_restore_date: str | None = None


class _Protected(Model):
    state: str = ""
    version: str = ""
    storage: Storage | None = None
    backup: _Backup = _Backup()


class ProtectedServer(Model):
    """A server as its backups see it."""

    id: str
    name: str
    location: str
    tags: dict[str, str] | None = None
    properties: _Protected


class _Named(Model):
    name: str
    properties: dict[str, Any] = {}


class _Page(Model):
    value: list[_Named]
    next_link: str | None = None


class _Servers(Model):
    value: list[ProtectedServer]
    next_link: str | None = None


async def list_servers(group: str) -> list[ProtectedServer]:
    """The servers of a resource group (its ARM id).

    Raises:
        NotFoundError: there is no such group.
    """
    path = f"{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers"
    call = Call("list servers", "GET", path, params={"api-version": _VERSION})
    return [server async for page in _ARM.pages(call, _Servers) for server in page.value]


async def find_server(server: str) -> ProtectedServer | None:
    """A server by its ARM id, or None."""
    call = Call("get server", "GET", server, params={"api-version": _VERSION}, expect=(200, 404))
    answer = await _ARM.call(call)
    return None if answer.status == 404 else _ARM.shaped(call, answer, ProtectedServer)  # noqa: PLR2004 - HTTP status


async def list_databases(server: str) -> list[str]:
    """Names of the databases of a server, those of the service itself left out."""
    found = await _children(server, "databases")
    return sorted(item.name for item in found if not item.name.startswith("azure_") and item.name != "postgres")


async def list_backups(server: str) -> dict[str, str]:
    """The backups of a server: name and when it was completed, ISO 8601."""
    found = await _children(server, "backups")
    return {item.name: str(item.properties.get("completedTime", "")) for item in found}


async def _children(server: str, kind: str) -> list[_Named]:
    call = Call("list children of server", "GET", f"{server}/{kind}", params={"api-version": _VERSION})
    return [child async for page in _ARM.pages(call, _Page) for child in page.value]


async def start_backup(server: str, name: str, permit: Permit) -> None:
    """Take a backup now, under a name of ours."""
    path = f"{server}/backups/{name}"
    call = Call(f"take {permit.action.kind}", "PUT", path, params={"api-version": _VERSION}, expect=(200, 201, 202))
    await _ARM.call(call)


def restore_of(source: str, location: str, moment: str, tags: dict[str, str]) -> dict[str, Any]:
    """Body of a new server that is the source as it was at a moment (UTC)."""
    properties = {"createMode": "PointInTimeRestore", "sourceServerResourceId": source, "pointInTimeUTC": moment}
    return {"location": location, "tags": tags, "properties": properties}


async def restore_server(server: str, body: dict[str, Any], permit: Permit) -> None:
    """Begin to restore into a new server; Azure needs minutes to hours.

    Documentation: https://learn.microsoft.com/azure/postgresql/backup-restore/concepts-backup-restore
    """
    call = Call(
        f"restore {permit.action.kind}", "PUT", server, body, params={"api-version": _VERSION}, expect=(200, 201, 202)
    )
    await _ARM.call(call)
