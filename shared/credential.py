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
