"""Which data resources there are in all subscriptions, by one question to the inventory."""

from collections import defaultdict

from shared import landing_zones
from shared.clients.resource_graph import Unreadable, read_inventory
from shared.log import LOGGER
from shared.models.backups import DataKind

_TYPES = {
    "microsoft.dbforpostgresql/flexibleservers": DataKind.DATABASE,
    "microsoft.keyvault/vaults": DataKind.VAULT,
    "microsoft.storage/storageaccounts": DataKind.STORAGE,
}


async def data_by_group() -> dict[str, dict[str, DataKind]]:
    """ARM ids and kinds of all data resources, by the ids of their resource groups in lower case.

    The inventory follows Azure by seconds or minutes.
    """
    found: dict[str, dict[str, DataKind]] = defaultdict(dict)
    async for item in read_inventory(landing_zones.subscriptions(), sorted(_TYPES)):
        if isinstance(item, Unreadable):
            LOGGER.warning("a row of the inventory cannot be read: %s", item.why)
            continue
        found["/".join(item.id.split("/")[:5]).lower()][item.id] = _TYPES[item.type.lower()]
    return found
