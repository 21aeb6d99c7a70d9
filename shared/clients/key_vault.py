"""Azure Key Vault, data plane."""

from shared.clients._http import Call, Vendor, azure_headers
from shared.models import Model

_VERSION = "2026-04-01"


class _Secret(Model):
    id: str
    value: str


async def _authorise() -> dict[str, str]:
    return await azure_headers("https://vault.azure.net/.default")


async def read_secret(vault_url: str, name: str) -> str:
    """Current value of a secret.

    Documentation: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret

    Raises:
        NotAuthorizedError: our identity may not read it.
        NotFoundError: there is no such secret.
        TransientIntegrationError: the vault does not answer, or not with a secret.
    """
    call = Call("get secret", "GET", f"/secrets/{name}/", params={"api-version": _VERSION})
    return (await Vendor("key vault", vault_url.rstrip("/"), _authorise, traced=True).read(call, _Secret)).value
