"""Key Vaults: each version of a secret stays, and what is removed can be recovered; Azure takes no backups of them."""

from datetime import datetime

from shared import tagging
from shared.clients import vaults
from shared.clients.vaults import KeyVault
from shared.models.backups import DataKind, DataResource


async def list_vaults(group: str, environment: str, now: datetime) -> list[DataResource]:
    """The vaults of a resource group."""
    return [_resource(vault, environment, now) for vault in await vaults.list_vaults(group)]


def _resource(vault: KeyVault, environment: str, now: datetime) -> DataResource:
    found = vault.properties
    days = found.kept_days if found.soft_delete else 0
    protected = bool(found.purge_protection)
    purge = "cannot be purged" if protected else "can be purged"
    return DataResource(
        id=vault.id,
        name=vault.name,
        kind=DataKind.VAULT,
        environment=environment,
        location=vault.location,
        owned_by=tagging.owner_of(vault.tags),
        policy=f"versions and soft delete of {days} days, what is removed {purge}" if days else "",
        retention_days=days,
        latest=now.isoformat(timespec="seconds") if days else None,
        gaps=[] if protected or environment == "dev" else ["what is removed from it can be purged at once"],
    )
