"""Azure Key Vault, data plane."""

from shared.credential import credential
from shared.errors import NotFoundError, TransientIntegrationError, VendorCall
from shared.settings import USER_AGENT


async def read_secret(vault_url: str, name: str) -> str:
    """Current value of a secret.

    Documentation: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret

    Raises:
        NotFoundError: there is no such secret.
        TransientIntegrationError: the vault does not answer.
    """
    from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 - heavy
    from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415 - heavy

    try:
        async with SecretClient(vault_url, credential(), user_agent=USER_AGENT) as client:
            secret = await client.get_secret(name)
    except ResourceNotFoundError as error:
        raise NotFoundError(VendorCall("key vault", "get secret", 404), f"{name} is not in {vault_url}") from error
    except AzureError as error:
        status = getattr(error, "status_code", None)
        raise TransientIntegrationError(VendorCall("key vault", "get secret", status), type(error).__name__) from error
    return str(secret.value)
