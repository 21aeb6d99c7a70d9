"""Key Vault's data plane: secrets with versions and soft delete.

https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
"""

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .api import SecretsApi
from .secrets import Vaults


def build(kernel: Kernel) -> Vendor:
    """Every vault; the journal never keeps a secret's value."""
    vaults = Vaults(kernel.store("key_vault"))
    api = SecretsApi(vaults, kernel)
    return Vendor(
        name="key_vault",
        hosts=("*.vault.azure.net",),
        routes=[
            web.get("/secrets", api.guarded(api.list_secrets)),
            web.post("/secrets/restore", api.guarded(api.restore)),
            web.post("/secrets/{name}/backup", api.guarded(api.back_up)),
            web.put("/secrets/{name}", api.guarded(api.set_secret)),
            web.get("/secrets/{name}", api.guarded(api.read)),
            web.get("/secrets/{name}/", api.guarded(api.read)),
            web.delete("/secrets/{name}", api.guarded(api.delete)),
            web.get("/secrets/{name}/versions", api.guarded(api.list_versions)),
            web.get("/secrets/{name}/{version}", api.guarded(api.read)),
            web.patch("/secrets/{name}/{version}", api.guarded(api.update)),
            web.get("/deletedsecrets", api.guarded(api.list_deleted)),
            web.get("/deletedsecrets/{name}", api.guarded(api.read_deleted)),
            web.delete("/deletedsecrets/{name}", api.guarded(api.purge)),
            web.post("/deletedsecrets/{name}/recover", api.guarded(api.recover)),
        ],
        public=vaults,
        secret_fields=frozenset({"value"}),
    )
