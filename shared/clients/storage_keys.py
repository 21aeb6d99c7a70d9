"""The two access keys of a storage account.

Documentation: https://learn.microsoft.com/rest/api/storagerp/storage-accounts/list-keys and
https://learn.microsoft.com/rest/api/storagerp/storage-accounts/regenerate-key
"""

from pydantic import Field

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.errors import TransientIntegrationError, VendorCall
from shared.guard import Permit
from shared.models import Model
from shared.settings import USER_AGENT
from shared.telemetry import spans

_VERSION = "2025-06-01"


class AccessKey(Model):
    """A key; its value appears in no text that is made of it.

    Attributes:
        creation_time: when it was made; Azure does not say so of keys of very old accounts.
    """

    key_name: str
    value: str = Field(repr=False)
    creation_time: str | None = None


class _Keys(Model):
    keys: list[AccessKey]


_ARM = arm()


async def list_keys(account: str) -> dict[str, AccessKey]:
    """The keys of an account (its ARM id) by their names."""
    call = Call("list storage keys", "POST", f"{account}/listKeys", params={"api-version": _VERSION})
    return _named(await _ARM.read(call, _Keys))


async def regenerate_key(account: str, name: str, permit: Permit) -> dict[str, AccessKey]:
    """Replace one key; whoever uses its old value is locked out at once. Each call makes another value."""
    body = {"keyName": name}
    path = f"{account}/regenerateKey"
    call = Call(f"regenerate {permit.action.kind}", "POST", path, body, params={"api-version": _VERSION})
    return _named(await _ARM.read(call, _Keys))


def _named(keys: _Keys) -> dict[str, AccessKey]:
    return {key.key_name: key for key in keys.keys}


async def authenticates(account: str, key: AccessKey) -> bool:
    """Whether the blob service of an account (its ARM id) lets this key in.

    Documentation: https://learn.microsoft.com/rest/api/storageservices/get-account-information
    """
    from azure.core.exceptions import AzureError, ClientAuthenticationError  # noqa: PLC0415 - heavy
    from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415 - heavy

    host = f"https://{account.rpartition('/')[2]}.blob.core.windows.net"
    with spans.vendor_call("blob storage", "get account information"):
        try:
            async with BlobServiceClient(
                host, credential=key.value, retry_total=1, user_agent=USER_AGENT, logging_enable=False
            ) as service:
                await service.get_account_information()
        except ClientAuthenticationError:
            return False
        except AzureError as error:
            place = VendorCall("blob storage", "get account information")
            raise TransientIntegrationError(place, type(error).__name__) from error
    return True
