"""The resources that exist, and the long-running operations on them.

The end of an operation is a point in time, not a task: whoever looks after it finds it done, also after a restart.
"""

import time
import uuid
from collections.abc import Iterator
from typing import Any

from local.vendors.kernel import Store

Resource = dict[str, Any]
RESOURCE = "resource"


class Estate:
    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, resource_id: str) -> Resource | None:
        self.settle()
        found: Resource | None = self.store.get(RESOURCE + resource_id.lower())
        return found

    def put(self, resource: Resource) -> None:
        self.store.put(RESOURCE + resource["id"].lower(), resource)

    def under(self, scope: str) -> Iterator[Resource]:
        """Everything below an id, not the resource itself."""
        self.settle()
        return (value for _, value in self.store.list(f"{RESOURCE}{scope.lower().rstrip('/')}/"))

    def of_type(self, kind: str, scope: str = "") -> list[Resource]:
        return [item for item in self.under(scope) if item["type"].lower() == kind.lower()]

    def remove(self, resource_id: str) -> None:
        """Remove a resource and all below it; what keeps a deleted state (a vault) goes there."""
        with self.store.transaction():
            for resource in [*self.under(resource_id), self.get(resource_id)]:
                if resource is None:
                    continue
                self.store.delete(RESOURCE + resource["id"].lower())
                if resource["type"].lower() == "microsoft.keyvault/vaults":
                    self.store.put(f"deleted-vault/{resource['name'].lower()}", deleted_vault(resource))

    def begin(self, action: str, resource_id: str, seconds: float) -> str:
        """Start an operation ("put", "delete" or "purge") that ends in so many seconds; its id."""
        operation = str(uuid.uuid4())
        started = time.time()
        document = {"action": action, "resource": resource_id, "started": started, "until": started + seconds}
        with self.store.transaction():
            self.store.put(f"operation/{operation}", document)
            self.store.put(f"pending/{operation}", document)
        return operation

    def operation(self, operation: str) -> dict[str, Any] | None:
        self.settle()
        found: dict[str, Any] | None = self.store.get(f"operation/{operation.lower()}")
        return found

    def settle(self) -> None:
        """Finish the operations whose time has come."""
        due = [(key, item) for key, item in self.store.list("pending/") if item["until"] <= time.time()]
        for key, item in due:
            with self.store.transaction():
                if self.store.delete(key):
                    self._finish(item)

    def _finish(self, operation: dict[str, Any]) -> None:
        resource_id = operation["resource"]
        if operation["action"] == "purge":
            self.store.delete(f"deleted-vault/{resource_id}")
        elif operation["action"] == "delete":
            self.remove(resource_id)
        elif (resource := self.store.get(RESOURCE + resource_id.lower())) and resource["properties"].get(
            "provisioningState"
        ) != "Deleting":
            resource["properties"]["provisioningState"] = "Succeeded"
            self.put(resource)


def deleted_vault(vault: Resource) -> Resource:
    """What remains of a deleted vault, with its whole former state: its name stays taken until it is purged."""
    now = time.time()
    properties = vault["properties"]
    days = int(properties.get("softDeleteRetentionInDays", 90))
    subscription = "/".join(vault["id"].split("/")[:3])
    place = f"{subscription}/providers/Microsoft.KeyVault/locations/{vault['location']}"
    return {
        "id": f"{place}/deletedVaults/{vault['name']}",
        "name": vault["name"],
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": {
            "vaultId": vault["id"],
            "location": vault["location"],
            "tags": vault.get("tags", {}),
            "deletionDate": iso(now),
            "scheduledPurgeDate": iso(now + days * 86400),
            "purgeProtectionEnabled": bool(properties.get("enablePurgeProtection")),
        },
        "~vault": vault,
    }


def iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def visible(resource: Resource) -> Resource:
    """A resource as the API shows it: nothing the stand-in keeps for itself."""
    return {name: value for name, value in resource.items() if not name.startswith("~")}
