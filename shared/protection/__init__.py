"""What keeps an application's data, how Azure protects it, and how it is restored to a place apart."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from shared.models.backups import DataResource
from shared.models.records import RequestRecord
from shared.plan import group_of
from shared.protection.blob_storage import list_storage
from shared.protection.databases import list_databases
from shared.protection.vaults import list_vaults

type _Listing = Callable[[str, str, datetime], Awaitable[list[DataResource]]]
_LISTINGS: tuple[_Listing, ...] = (list_databases, list_storage, list_vaults)


async def data_resources(request: RequestRecord, environment: str, now: datetime) -> list[DataResource]:
    """Everything in a stage's resource group that keeps data.

    Raises:
        NotFoundError: there is no such group.
    """
    group = group_of(request, environment)
    return [resource for listing in _LISTINGS for resource in await listing(group, environment, now)]
