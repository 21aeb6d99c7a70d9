"""Storage accounts and what their blob service keeps of overwritten and removed blobs; accounts apart.

Documentation: https://learn.microsoft.com/rest/api/storagerp/storage-accounts/list-by-resource-group and
https://learn.microsoft.com/rest/api/storagerp/blob-services/get-service-properties
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.guard import Permit
from shared.models import Model

_VERSION = "2025-06-01"
_ARM = arm()


class _Properties(Model):
    provisioning_state: str = "Succeeded"
    public_network_access: str | None = None
    network_acls: dict[str, Any] | None = None


class Account(Model):
    """A storage account."""

    id: str
    name: str
    location: str = ""
    tags: dict[str, str] | None = None
    properties: _Properties = _Properties()


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
    call = Call("list storage accounts", "GET", path, params={"api-version": _VERSION})
    return [account async for page in _ARM.pages(call, _Accounts) for account in page.value]


async def find_account(account: str) -> Account | None:
    """A storage account by its ARM id, or None."""
    call = Call("get storage account", "GET", account, params={"api-version": _VERSION}, expect=(200, 404))
    answer = await _ARM.call(call)
    return None if answer.status == 404 else _ARM.shaped(call, answer, Account)  # noqa: PLR2004 - HTTP status


class _Container(Model):
    name: str


class _Containers(Model):
    value: list[_Container]
    next_link: str | None = None


async def list_containers(account: str) -> list[str]:
    """Names of the containers of an account (its ARM id).

    Documentation: https://learn.microsoft.com/rest/api/storagerp/blob-containers/list
    """
    path = f"{account}/blobServices/default/containers"
    call = Call("list containers", "GET", path, params={"api-version": _VERSION})
    return [container.name async for page in _ARM.pages(call, _Containers) for container in page.value]


def account_apart(source: Account, tags: Mapping[str, str], subnet: str) -> dict[str, Any]:
    """Body of an account for copies of another one's blobs: nothing public, no keys.

    Args:
        source: the other one; its network rules are taken over unless a subnet is given.
        tags: its tags.
        subnet: ARM id of the only subnet that is let in; empty: none.
    """
    found = source.properties
    only = {"defaultAction": "Deny", "bypass": "None", "virtualNetworkRules": [{"id": subnet}]}
    given = {"publicNetworkAccess": found.public_network_access, "networkAcls": found.network_acls}
    network = {"publicNetworkAccess": "Enabled", "networkAcls": only} if subnet else given
    properties = {
        "allowBlobPublicAccess": False,
        "allowSharedKeyAccess": False,
        "minimumTlsVersion": "TLS1_2",
        "supportsHttpsTrafficOnly": True,
        **{name: value for name, value in network.items() if value is not None},
    }
    body = {"location": source.location, "kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "tags": dict(tags)}
    return {**body, "properties": properties}


async def put_account(account: str, body: dict[str, Any], permit: Permit) -> None:
    """Begin to create an account (its ARM id)."""
    version = {"api-version": _VERSION}
    await _ARM.call(Call(f"create {permit.action.kind}", "PUT", account, body, params=version, expect=(200, 201, 202)))


async def put_container(account: str, name: str, permit: Permit) -> None:
    """Create a container of an account, or find it there.

    Documentation: https://learn.microsoft.com/rest/api/storagerp/blob-containers/create
    """
    path, version = f"{account}/blobServices/default/containers/{name}", {"api-version": _VERSION}
    call = Call(f"create container of {permit.action.kind}", "PUT", path, {}, params=version, expect=(200, 201))
    await _ARM.call(call)


async def read_blob_service(account: str) -> BlobService:
    """What the blob service of an account (its ARM id) keeps."""
    path = f"{account}/blobServices/default"
    call = Call("get blob service", "GET", path, params={"api-version": _VERSION})
    return (await _ARM.read(call, _Answer)).properties
