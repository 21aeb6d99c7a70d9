"""Deleted key vaults: they keep their names until they are purged.

https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
"""

from typing import Protocol

from aiohttp import web

from .errors import ArmError
from .estate import Estate, visible

PURGE_SECONDS = 0.3


class Begin(Protocol):
    def begin(self, action: str, resource: str, seconds: float, request: web.Request) -> dict[str, str]: ...


def answer_deleted_vaults(api: Begin, estate: Estate, request: web.Request) -> web.Response:
    """List, read or purge, by the path below /subscriptions/{id}/providers/Microsoft.KeyVault."""
    estate.settle()
    rest = request.path.rstrip("/").partition("/deletedVaults")[2].strip("/").split("/")
    subscription = "/".join(request.path.split("/")[:3]).lower()
    if rest == [""]:
        vaults = [visible(vault) for _, vault in estate.store.list("deleted-vault/")]
        return web.json_response({"value": [v for v in vaults if v["id"].lower().startswith(f"{subscription}/")]})
    vault = estate.store.get(f"deleted-vault/{rest[0].lower()}")
    if vault is None or not vault["id"].lower().startswith(f"{subscription}/"):
        raise ArmError(404, "DeletedVaultNotFound", f"The specified deleted vault '{rest[0]}' does not exist.")
    if rest[1:] != ["purge"]:
        return web.json_response(visible(vault))
    if vault["properties"]["purgeProtectionEnabled"]:
        raise ArmError(405, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")
    return web.Response(status=202, headers=api.begin("purge", rest[0].lower(), PURGE_SECONDS, request))
