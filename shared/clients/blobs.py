"""Azure Blob Storage: plan documents of the app, artefacts of the infrastructure pipeline."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.credential import credential
from shared.errors import NotFoundError, TransientIntegrationError, VendorCall
from shared.settings import USER_AGENT, AppStoreSettings, Settings, load
from shared.telemetry import spans

_DOCUMENTS = "plan-documents"
_ANCHORS = "audit-anchors"  # with an immutability policy: what is written stays as it is


class TerraformSettings(Settings):
    """Where the infrastructure pipeline leaves its artefacts."""

    model_config = SettingsConfigDict(env_prefix="TERRAFORM_", frozen=True, extra="ignore")

    state_account: str = Field(description="Storage account of Terraform states and saved plans.")
    plans_container: str = Field(default="plans", description="Container of saved plans, change sets and results.")


async def write_document(name: str, content: bytes) -> None:
    """Keep a plan document; its name holds its digest, so a repeat writes the same bytes.

    Documentation: https://learn.microsoft.com/rest/api/storageservices/put-blob
    """
    from azure.core.exceptions import AzureError, ResourceExistsError  # noqa: PLC0415 - heavy
    from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415 - heavy

    account = load(AppStoreSettings).storage_account
    with spans.vendor_call("blob storage", "put blob"):
        try:
            async with ContainerClient(_url(account), _DOCUMENTS, **_options()) as container:
                with suppress(ResourceExistsError):
                    await container.create_container()
                await container.upload_blob(name, content, overwrite=True)
        except AzureError as error:
            raise _transient("put blob", error) from error


async def read_document(name: str) -> bytes:
    """The very bytes of a plan document. Raises NotFoundError."""
    return await _read(load(AppStoreSettings).storage_account, _DOCUMENTS, name)


async def write_anchor(day: str, content: bytes) -> bool:
    """Keep the ends of all audit trails of a day; returns whether this was the first writer: nothing is overwritten.

    Documentation: https://learn.microsoft.com/azure/storage/blobs/immutable-storage-overview
    """
    from azure.core.exceptions import AzureError, ResourceExistsError  # noqa: PLC0415 - heavy
    from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415 - heavy

    account = _anchor_account()
    try:
        async with ContainerClient(_url(account), _ANCHORS, **_options()) as container:
            with suppress(ResourceExistsError):
                await container.create_container()
            try:
                await container.upload_blob(f"{day}.json", content, overwrite=False)
            except ResourceExistsError:
                return False
    except AzureError as error:
        raise _transient("put anchor", error) from error
    return True


async def read_anchors() -> AsyncIterator[tuple[str, bytes]]:
    """Every anchor with its day, oldest first; none before the first day."""
    from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 - heavy
    from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415 - heavy

    account = _anchor_account()
    try:
        async with ContainerClient(_url(account), _ANCHORS, **_options()) as container:
            async for name in container.list_blob_names():
                stream = await container.download_blob(name)
                yield name.removesuffix(".json"), bytes(await stream.readall())
    except ResourceNotFoundError:
        return
    except AzureError as error:
        raise _transient("read anchors", error) from error


def _anchor_account() -> str:
    settings = load(AppStoreSettings)
    return settings.audit_account or settings.storage_account


async def read_artefact(run_id: str, name: str) -> bytes:
    """An artefact of a pipeline run, for example ``result.json``. Raises NotFoundError."""
    settings = load(TerraformSettings)
    return await _read(settings.state_account, settings.plans_container, f"{run_id}/{name}")


async def _read(account: str, container: str, name: str) -> bytes:
    from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 - heavy
    from azure.storage.blob.aio import BlobClient  # noqa: PLC0415 - heavy

    with spans.vendor_call("blob storage", "get blob"):
        try:
            async with BlobClient(_url(account), container, name, **_options()) as blob:
                stream = await blob.download_blob()
                return bytes(await stream.readall())
        except ResourceNotFoundError as error:
            raise NotFoundError(
                VendorCall("blob storage", "get blob", 404), f"{container}/{name} does not exist"
            ) from error
        except AzureError as error:
            raise _transient("get blob", error) from error


def _options() -> dict[str, Any]:
    """Two more tries after 1 and 3 seconds; the SDK's own habit is to wait for 15, 18 and 24."""
    waits = {"retry_total": 2, "initial_backoff": 1, "increment_base": 2}
    return {"credential": credential(), "user_agent": USER_AGENT, **waits}


def _url(account: str) -> str:
    return f"https://{account}.blob.core.windows.net"


def _transient(operation: str, error: Exception) -> TransientIntegrationError:
    status = getattr(error, "status_code", None)
    return TransientIntegrationError(VendorCall("blob storage", operation, status), type(error).__name__)
