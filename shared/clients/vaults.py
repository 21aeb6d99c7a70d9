"""Key Vaults as resources: what they keep of removed secrets; vaults apart, and what is left of removed ones.

Documentation: https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.guard import Permit
from shared.models import Model

_VERSION = "2026-05-15"
_ARM = arm()


class _Properties(Model):
    soft_delete: bool = Field(default=True, alias="enableSoftDelete")
    kept_days: int = Field(default=90, alias="softDeleteRetentionInDays")
    purge_protection: bool | None = Field(default=None, alias="enablePurgeProtection")
    provisioning_state: str = "Succeeded"
    tenant_id: str = ""
    sku: dict[str, Any] = {"family": "A", "name": "standard"}
    public_network_access: str | None = None
    network_acls: dict[str, Any] | None = None


class KeyVault(Model):
    """A vault."""

    id: str
    name: str
    location: str = ""
    tags: dict[str, str] | None = None
    properties: _Properties


class _Vaults(Model):
    value: list[KeyVault]
    next_link: str | None = None


async def list_vaults(group: str) -> list[KeyVault]:
    """The vaults of a resource group (its ARM id).

    Raises:
        NotFoundError: there is no such group.
    """
    path = f"{group}/providers/Microsoft.KeyVault/vaults"
    call = Call("list vaults", "GET", path, params={"api-version": _VERSION})
    return [vault async for page in _ARM.pages(call, _Vaults) for vault in page.value]


async def find_vault(vault: str) -> KeyVault | None:
    """A vault by its ARM id, or None."""
    call = Call("get vault", "GET", vault, params={"api-version": _VERSION}, expect=(200, 404))
    answer = await _ARM.call(call)
    return None if answer.status == 404 else _ARM.shaped(call, answer, KeyVault)  # noqa: PLR2004 - HTTP status


def vault_apart(source: KeyVault, reader: str, tags: Mapping[str, str], subnet: str) -> dict[str, Any]:
    """Body of a vault for a copy of another one's secrets, which can be purged as soon as it is deleted.

    Args:
        source: the other one; its network rules are taken over unless a subnet is given.
        reader: object id of the only identity that may do anything in it: restore, list and read secrets. An access
            policy works at once and for this vault only, which an assignment of a role does not.
        tags: its tags.
        subnet: ARM id of the only subnet that is let in; empty: none.
    """
    found = source.properties
    only = {"defaultAction": "Deny", "bypass": "None", "virtualNetworkRules": [{"id": subnet}]}
    network = {"publicNetworkAccess": "Enabled", "networkAcls": only} if subnet else _network(source)
    policy = {"tenantId": found.tenant_id, "objectId": reader, "permissions": {"secrets": ["get", "list", "restore"]}}
    properties = {
        "tenantId": found.tenant_id,
        "sku": found.sku,
        "enableRbacAuthorization": False,
        "accessPolicies": [policy],
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": 7,
        **network,
    }
    return {"location": source.location, "tags": dict(tags), "properties": properties}


def _network(source: KeyVault) -> dict[str, Any]:
    found = source.properties
    given = {"publicNetworkAccess": found.public_network_access, "networkAcls": found.network_acls}
    return {name: value for name, value in given.items() if value is not None}


async def put_vault(vault: str, body: dict[str, Any], permit: Permit) -> None:
    """Create a vault (its ARM id)."""
    call = Call(f"create {permit.action.kind}", "PUT", vault, body, params={"api-version": _VERSION}, expect=(200, 201))
    await _ARM.call(call)


class _Deletion(Model):
    vault_id: str = ""
    tags: dict[str, str] | None = None
    scheduled_purge_date: str = ""
    purge_protection_enabled: bool | None = None


class DeletedVault(Model):
    """What is left of a deleted vault: its contents and its name, until it is purged."""

    id: str
    name: str
    properties: _Deletion


class _DeletedVaults(Model):
    value: list[DeletedVault]
    next_link: str | None = None


async def list_deleted(subscription: str) -> list[DeletedVault]:
    """The deleted vaults of a subscription that are not purged yet.

    Documentation: https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/list-deleted
    """
    path = f"/subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedVaults"
    call = Call("list deleted vaults", "GET", path, params={"api-version": _VERSION})
    return [vault async for page in _ARM.pages(call, _DeletedVaults) for vault in page.value]


def purge_of(subscription: str, location: str, name: str) -> str:
    """Path of the call that purges a deleted vault."""
    place = f"/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location.replace(' ', '').lower()}"
    return f"{place}/deletedVaults/{name}/purge"


async def purge_vault(vault: DeletedVault, permit: Permit) -> None:
    """Begin to purge a deleted vault; one that is gone, or being purged, is left alone.

    Documentation: https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/purge-deleted
    """
    version, expect = {"api-version": _VERSION}, (200, 202, 204, 404, 409)
    await _ARM.call(Call(f"purge {permit.action.kind}", "POST", f"{vault.id}/purge", params=version, expect=expect))
