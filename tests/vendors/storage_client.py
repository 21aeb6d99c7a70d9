"""What the app does with storage, in a process of its own: its trust and proxy come from the environment at start."""

import asyncio
import os
from contextlib import suppress

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError
from azure.data.tables.aio import TableClient
from azure.identity.aio import ManagedIdentityCredential
from azure.keyvault.secrets.aio import SecretClient
from azure.storage.blob.aio import BlobServiceClient

LARGE = 20 * 1024 * 1024


async def use_tables(credential: ManagedIdentityCredential) -> None:
    async with TableClient("https://appstoredata.table.core.windows.net", "requests", credential=credential) as table:
        with suppress(ResourceExistsError):
            await table.create_table()
        entity = {"PartitionKey": "it's", "RowKey": "1", "state": "claimed"}
        await table.upsert_entity(entity)
        read = await table.get_entity("it's", "1")
        assert read["state"] == "claimed"
        await table.update_entity(
            {**entity, "state": "done"}, etag=read.metadata["etag"], match_condition=MatchConditions.IfNotModified
        )
        try:
            await table.update_entity(
                {**entity, "state": "late"}, etag=read.metadata["etag"], match_condition=MatchConditions.IfNotModified
            )
        except ResourceModifiedError:
            pass
        else:
            raise AssertionError("a stale ETag was accepted")
        rows = [{"PartitionKey": "page", "RowKey": str(number)} for number in range(30)]
        await table.submit_transaction([("upsert", row) for row in rows])
        found = [row["RowKey"] async for row in table.query_entities("PartitionKey eq 'page'", results_per_page=7)]
        assert len(found) == 30


async def use_blobs(credential: ManagedIdentityCredential) -> None:
    async with BlobServiceClient("https://appstoretfstate.blob.core.windows.net", credential=credential) as service:
        container = service.get_container_client("plans")
        if not await container.exists():
            await container.create_container()
        plan = os.urandom(LARGE)
        await container.upload_blob("run 1/plan.tfplan", plan, overwrite=True)
        downloaded = await container.download_blob("run 1/plan.tfplan")
        assert await downloaded.readall() == plan
        properties = await container.get_blob_client("run 1/plan.tfplan").get_blob_properties()
        assert properties.size == LARGE
        lease = await container.get_blob_client("run 1/plan.tfplan").acquire_lease(15)
        await lease.release()


async def use_secrets(credential: ManagedIdentityCredential) -> None:
    async with SecretClient("https://kv-appstore.vault.azure.net", credential=credential) as vault:
        first = await vault.set_secret("rotated", "one", tags={"rotation-id": "1"})
        await vault.set_secret("rotated", "two")
        assert (await vault.get_secret("rotated")).value == "two"
        assert (await vault.get_secret("rotated", first.properties.version)).value == "one"
        versions = [item.version async for item in vault.list_properties_of_secret_versions("rotated")]
        assert len(set(versions)) == len(versions) >= 2
        assert "rotated" in [item.name async for item in vault.list_properties_of_secrets()]
        await vault.delete_secret("rotated")
        try:
            await vault.set_secret("rotated", "three")
        except ResourceExistsError:
            pass
        else:
            raise AssertionError("a deleted secret's name was free")
        await vault.recover_deleted_secret("rotated")
        assert (await vault.get_secret("rotated")).value == "two"
        await vault.delete_secret("rotated")
        await vault.purge_deleted_secret("rotated")
        assert [item.name async for item in vault.list_deleted_secrets()] == []


async def main() -> None:
    async with ManagedIdentityCredential(client_id=os.environ["AZURE_CLIENT_ID"]) as credential:
        await use_tables(credential)
        await use_blobs(credential)
        await use_secrets(credential)


if __name__ == "__main__":
    asyncio.run(main())
