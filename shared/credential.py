"""The app's own identity: the managed identity of the Function app, nothing else."""

import os
from typing import TYPE_CHECKING

from shared.errors import TransientIntegrationError, VendorCall
from shared.per_loop import per_loop

if TYPE_CHECKING:  # azure-identity costs 0.2 s to import and is needed at the first call only
    from azure.identity.aio import ManagedIdentityCredential


@per_loop
def credential() -> "ManagedIdentityCredential":
    """Credential of the user-assigned managed identity named by ``AZURE_CLIENT_ID``, or the system-assigned one.

    Documentation: https://learn.microsoft.com/azure/app-service/overview-managed-identity
    """
    from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415 - heavy

    return ManagedIdentityCredential(client_id=os.environ.get("AZURE_CLIENT_ID") or None)


async def access_token(scope: str) -> str:
    """A bearer token of the app for a scope such as ``https://management.azure.com/.default``.

    Raises:
        TransientIntegrationError: the identity endpoint does not answer.
    """
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - heavy

    try:
        token = await credential().get_token(scope)
    except AzureError as error:
        raise TransientIntegrationError(VendorCall("managed identity", "get token"), type(error).__name__) from error
    return str(token.token)


async def own_claims(scope: str) -> dict[str, str]:
    """What a token of the app for a scope says of the app itself: its object id ``oid``, its tenant ``tid``.

    Raises:
        TransientIntegrationError: the identity endpoint does not answer.
    """
    import jwt  # noqa: PLC0415 - heavy

    claims = jwt.decode(await access_token(scope), options={"verify_signature": False})  # ours: nobody else made it
    return {name: value for name, value in claims.items() if isinstance(value, str)}
