"""Versions of blobs: what there was at a moment, and copies of single versions that the service itself makes.

Documentation: https://learn.microsoft.com/rest/api/storageservices/list-blobs and
https://learn.microsoft.com/rest/api/storageservices/put-blob-from-url
"""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from shared.clients._http import Call, Vendor, azure_headers
from shared.credential import access_token, credential
from shared.errors import (
    NotAuthorizedError,
    NotFoundError,
    PermanentIntegrationError,
    TransientIntegrationError,
    VendorCall,
)
from shared.guard import Permit
from shared.settings import USER_AGENT

_SCOPE = "https://storage.azure.com/.default"
_VERSION = "2025-07-05"
_NAME, _PRESENT = "blob storage", "BlobAlreadyExists"


@dataclass(frozen=True)
class BlobVersion:
    """A version of a blob, or a blob of an account without versions.

    Attributes:
        made: when this version was made: its id; empty without versions.
        md5: digest of its content in base64, empty when the service has none.
        removed: when it was removed itself: it is kept for a while, and cannot be read.
        whole: whether it is a block blob, which can be copied at once.
    """

    name: str
    made: str
    length: int
    md5: str
    removed: datetime | None
    whole: bool


async def list_versions(account: str, container: str, *, versions: bool = True) -> AsyncIterator[BlobVersion]:
    """The blobs of a container by name, all versions of each from the oldest on, page by page to the last one.

    Args:
        account: name of the storage account.
        container: name of the container.
        versions: whether versions and what was removed are wanted, too.

    Raises:
        NotAuthorizedError: our identity may not list them.
        NotFoundError: there is no such container.
    """
    from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError  # noqa: PLC0415 - heavy
    from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415 - heavy

    include = ["versions", "deleted"] if versions else []
    options: dict[str, Any] = {"credential": credential(), "user_agent": USER_AGENT, "retry_total": 2}
    place = VendorCall(_NAME, "list versions of blobs")
    try:
        async with ContainerClient(_url(account), container, **options) as client:
            async for item in client.list_blobs(include=include):
                md5 = item.content_settings.content_md5
                yield BlobVersion(
                    name=item.name,
                    made=item.version_id or "",
                    length=item.size,
                    md5=b64encode(bytes(md5)).decode() if md5 else "",
                    removed=item.deleted_time if item.deleted else None,
                    whole=str(getattr(item.blob_type, "value", item.blob_type)) == "BlockBlob",
                )
    except ResourceNotFoundError as error:
        raise NotFoundError(place, f"there is no container {container}") from error
    except HttpResponseError as error:
        if error.status_code == HTTPStatus.FORBIDDEN:
            raise NotAuthorizedError(place, f"the App Store may not list the blobs of {account}") from error
        raise TransientIntegrationError(place, type(error).__name__) from error
    except AzureError as error:
        raise TransientIntegrationError(place, type(error).__name__) from error


def address_of(account: str, container: str, name: str) -> str:
    """URL of a blob."""
    return f"{_url(account)}/{container}/{quote(name)}"


async def copy_version(source: str, made: str, md5: str, target: tuple[str, str, str], permit: Permit) -> None:
    """Let the service copy one version to another account, and compare the digest; one that is there stays.

    Args:
        source: URL of the blob.
        made: id of the version; empty: the current one.
        md5: digest that the source must have, in base64; empty: nobody knows it.
        target: account, container and name of the copy.
        permit: what allows it.

    Raises:
        PermanentIntegrationError: the service may not or cannot read the source, or its digest is another one.
    """
    account, container, name = target
    headers = {
        "x-ms-version": _VERSION,
        "x-ms-blob-type": "BlockBlob",
        "x-ms-copy-source": f"{source}?versionid={quote(made)}" if made else source,
        "x-ms-copy-source-authorization": f"Bearer {await access_token(_SCOPE)}",
        "If-None-Match": "*",
        **({"x-ms-source-content-md5": md5} if md5 else {}),
    }
    path = address_of(account, container, name).removeprefix(_url(account))
    call = Call(f"copy {permit.action.kind}", "PUT", path, headers=headers, expect=(201, 409))
    answer = await Vendor(_NAME, _url(account), _authorise).call(call)
    code = answer.headers.get("x-ms-error-code", "")
    if answer.status == HTTPStatus.CONFLICT and code != _PRESENT:  # also what it says of a source that it cannot reach
        raise PermanentIntegrationError(VendorCall(_NAME, call.operation, answer.status), f"{code}: {name}")


async def _authorise() -> dict[str, str]:
    return await azure_headers(_SCOPE)


def _url(account: str) -> str:
    return f"https://{account}.blob.core.windows.net"
