"""Storage accounts and what their blob service keeps of overwritten and removed blobs.

Documentation: https://learn.microsoft.com/rest/api/storagerp/storage-accounts/list-by-resource-group and
https://learn.microsoft.com/rest/api/storagerp/blob-services/get-service-properties
"""

from pydantic import Field

from shared.clients._arm import BASE, arm
from shared.clients._http import Call
from shared.models import Model

_VERSION = "2025-06-01"
_ARM = arm()


class Account(Model):
    """A storage account."""

    id: str
    name: str
    location: str = ""
    tags: dict[str, str] | None = None


class _Accounts(Model):
    value: list[Account]
    next_link: str | None = None


class Retention(Model):
    """How long something removed is kept; ``days`` means nothing while it is off."""

    enabled: bool = False
    days: int = 0


class PointInTime(Retention):
    """How far back the vendor's own restore reaches; it writes over what is there."""

    min_restore_time: str | None = None


class BlobService(Model):
    """What the blob service keeps."""

    versioning: bool = Field(default=False, alias="isVersioningEnabled")
    blobs: Retention = Field(default=Retention(), alias="deleteRetentionPolicy")
    containers: Retention = Field(default=Retention(), alias="containerDeleteRetentionPolicy")
    point_in_time: PointInTime = Field(default=PointInTime(), alias="restorePolicy")

    @property
    def kept_days(self) -> int:
        """For so many days a removed blob and a removed container can both be brought back."""
        return min(policy.days if policy.enabled else 0 for policy in (self.blobs, self.containers))


class _Answer(Model):
    properties: BlobService


async def list_accounts(group: str) -> list[Account]:
    """The storage accounts of a resource group (its ARM id).

    Raises:
        NotFoundError: there is no such group.
    """
    path = f"{group}/providers/Microsoft.Storage/storageAccounts"
    call, found = Call("list storage accounts", "GET", path, params={"api-version": _VERSION}), list[Account]()
    while True:
        page = await _ARM.read(call, _Accounts)
        found += page.value
        if not page.next_link or not page.next_link.startswith(f"{BASE}/"):
            return found
        call = Call("list storage accounts", "GET", page.next_link.removeprefix(BASE))


async def read_blob_service(account: str) -> BlobService:
    """What the blob service of an account (its ARM id) keeps."""
    path = f"{account}/blobServices/default"
    call = Call("get blob service", "GET", path, params={"api-version": _VERSION})
    return (await _ARM.read(call, _Answer)).properties
