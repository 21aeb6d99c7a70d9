"""Database servers: Azure backs them up by itself and can bring back any moment of the retention."""

from datetime import datetime, timedelta

from shared import tagging
from shared.clients import postgresql_servers
from shared.clients.postgresql_servers import ProtectedServer
from shared.models.backups import DataKind, DataResource

NEWEST = timedelta(minutes=5)  # what was written in the last minutes is not in the backups yet


async def list_databases(group: str, environment: str, now: datetime) -> list[DataResource]:
    """The database servers of a resource group."""
    return [_resource(server, environment, now) for server in await postgresql_servers.list_servers(group)]


def _resource(server: ProtectedServer, environment: str, now: datetime) -> DataResource:
    backup = server.properties.backup
    days, earliest = backup.backup_retention_days, backup.earliest_restore_date
    geo = ", also in the paired region" if backup.geo_redundant_backup == "Enabled" else ""
    return DataResource(
        id=server.id,
        name=server.name,
        kind=DataKind.DATABASE,
        environment=environment,
        location=server.location,
        owned_by=tagging.owner_of(server.tags),
        policy=f"point-in-time restore within {days} days{geo}" if days else "",
        retention_days=days,
        earliest=earliest,
        latest=(now - NEWEST).isoformat(timespec="seconds") if earliest else None,
    )
