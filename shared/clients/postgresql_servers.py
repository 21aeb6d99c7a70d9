"""Azure Database for PostgreSQL flexible servers: the size of their disks.

Documentation: https://learn.microsoft.com/rest/api/postgresql/servers
"""

from typing import Any

from pydantic import Field

from shared.clients._http import Call, Vendor, azure_headers
from shared.guard import Permit
from shared.models import Model

_VERSION = "2026-10-01"
SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)  # GiB, Premium SSD


async def _authorise() -> dict[str, str]:
    return await azure_headers("https://management.azure.com/.default")


_ARM = Vendor("azure resource manager", "https://management.azure.com", _authorise, traced=True)


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
