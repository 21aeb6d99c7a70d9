"""Storage accounts: each version of a blob is kept, and what is removed can be brought back for a while."""

from datetime import datetime, timedelta

from shared import tagging
from shared.clients import storage_accounts
from shared.clients.storage_accounts import Account, BlobService
from shared.models.backups import DataKind, DataResource


async def list_storage(group: str, environment: str, now: datetime) -> list[DataResource]:
    """The storage accounts of a resource group."""
    found = []
    for account in await storage_accounts.list_accounts(group):
        service = await storage_accounts.read_blob_service(account.id)
        found.append(_resource(account, service, environment, now))
    return found


def _resource(account: Account, service: BlobService, environment: str, now: datetime) -> DataResource:
    days, reach = service.kept_days, service.point_in_time
    earliest = (now - timedelta(days=days)).isoformat(timespec="seconds")
    restore = f", point-in-time restore within {reach.days} days" if reach.enabled else ""
    return DataResource(
        id=account.id,
        name=account.name,
        kind=DataKind.STORAGE,
        environment=environment,
        location=account.location,
        owned_by=tagging.owner_of(account.tags),
        policy=f"versions and soft delete of {days} days{restore}" if service.versioning and days else "",
        retention_days=days,
        earliest=(reach.min_restore_time or earliest) if service.versioning and days else None,
        latest=now.isoformat(timespec="seconds") if service.versioning else None,
        gaps=_gaps(service),
    )


def _gaps(service: BlobService) -> list[str]:
    missing = {
        "its blobs have no versions: what is overwritten is lost": service.versioning,
        "blobs that are removed are not kept": service.blobs.enabled,
        "containers that are removed are not kept": service.containers.enabled,
    }
    return [sentence for sentence, there in missing.items() if not there]
