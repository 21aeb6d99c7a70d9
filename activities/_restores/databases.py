"""Database servers: Azure restores any moment of the retention into a new server."""

from datetime import datetime

from activities._guarded import UnderWayError
from activities._restores.place import ARM, put_place, tags_of, text_of
from activities._restores.port import Found, Wish
from shared import tagging
from shared.clients import postgresql_servers
from shared.clients.postgresql_servers import ProtectedServer
from shared.errors import PermanentIntegrationError, VendorCall
from shared.guard import Permit
from shared.models.backups import DataKind
from shared.models.day2_backups import Check
from shared.models.operations import PlannedAction, PlannedCall

_PLACE = "azure resource manager"
_READY, _BROKEN = "Ready", frozenset({"Dropping", "Disabled", "Inaccessible"})


class Databases:
    """Flexible servers of PostgreSQL."""

    kind = DataKind.DATABASE

    async def plan(self, wish: Wish) -> Found:
        """A new server for each one, as it was at the moment; see ``Restorable``."""
        found = Found()
        for server in await postgresql_servers.list_servers(wish.source):
            found.scanned += 1
            reason = _too_early(server, wish.moment)
            if reason:
                found.unreadable.append(reason)
            else:
                found.actions.append(_restore(wish, server))
        return found

    async def restore(self, action: PlannedAction, permit: Permit) -> str:
        """Restore, and wait until the server is ready; see ``Restorable``."""
        target = action.target
        if await postgresql_servers.find_server(target) is None:
            await put_place(action, permit)
            await postgresql_servers.restore_server(target, action.facts["body"], permit)
        found = await postgresql_servers.find_server(target)
        call = VendorCall(_PLACE, "restore server", 200)
        if found is not None and found.properties.state in _BROKEN:
            raise PermanentIntegrationError(call, f"the restored server is {found.properties.state}")
        if found is None or found.properties.state != _READY:
            raise UnderWayError(f"{target.rpartition('/')[2]} is not ready yet")
        return f"{found.name} is ready"

    async def check(self, action: PlannedAction) -> list[Check]:
        """Ready, the same version, the same databases, a disk as large; see ``Restorable``."""
        source, restored = action.facts["source"], action.target
        name = restored.rpartition("/")[2]
        found, origin = await postgresql_servers.find_server(restored), await postgresql_servers.find_server(source)
        if found is None or origin is None:
            return [Check(name=f"{name}: exists", passed=False, detail="the server or its source is not there")]
        had, has = await postgresql_servers.list_databases(source), await postgresql_servers.list_databases(restored)
        lost = sorted(set(had) - set(has))
        sizes = [
            server.properties.storage.storage_size_gb if server.properties.storage else 0 for server in (origin, found)
        ]
        return [
            Check(name=f"{name}: ready", passed=found.properties.state == _READY, detail=found.properties.state),
            Check(name=f"{name}: version", passed=found.properties.version == origin.properties.version),
            Check(name=f"{name}: databases", passed=not lost, detail=f"missing: {', '.join(lost)}" if lost else ""),
            Check(name=f"{name}: disk", passed=sizes[1] >= sizes[0], detail=f"{sizes[1]} GiB"),
        ]


def _too_early(server: ProtectedServer, moment: datetime) -> str | None:
    earliest = server.properties.backup.earliest_restore_date
    if earliest and moment < datetime.fromisoformat(earliest):
        return f"{server.name}: nothing before {earliest} can be restored"
    return None


def _restore(wish: Wish, server: ProtectedServer) -> PlannedAction:
    moment, operation = text_of(wish.moment), wish.record.id.removeprefix("op-")
    target = f"{wish.place}/providers/Microsoft.DBforPostgreSQL/flexibleServers/{server.name[:49]}-{operation}"
    body = postgresql_servers.restore_of(server.id, server.location, moment, tags_of(wish.record, wish.environment))
    return PlannedAction(
        key=server.id.lower(),
        rule=wish.record.operation,
        kind=DataKind.DATABASE,
        target=target,
        environment=wish.environment,
        owned_by=tagging.owner_of(server.tags),
        summary=f"restore {server.name} as it was at {moment}",
        calls=[PlannedCall(method="PUT", target=f"{ARM}{target}", body=body)],
        facts={"group": wish.place, "location": server.location, "body": body, "source": server.id},
    )
