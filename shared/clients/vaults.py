"""Key Vaults as resources: what they keep of removed secrets.

Documentation: https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults
"""

from pydantic import Field

from shared.clients._arm import BASE, arm
from shared.clients._http import Call
from shared.models import Model

_VERSION = "2026-05-15"
_ARM = arm()


class _Properties(Model):
    soft_delete: bool = Field(default=True, alias="enableSoftDelete")
    kept_days: int = Field(default=90, alias="softDeleteRetentionInDays")
    purge_protection: bool | None = Field(default=None, alias="enablePurgeProtection")
    provisioning_state: str = "Succeeded"


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
    call, found = Call("list vaults", "GET", path, params={"api-version": _VERSION}), list[KeyVault]()
    while True:
        page = await _ARM.read(call, _Vaults)
        found += page.value
        if not page.next_link or not page.next_link.startswith(f"{BASE}/"):
            return found
        call = Call("list vaults", "GET", page.next_link.removeprefix(BASE))
