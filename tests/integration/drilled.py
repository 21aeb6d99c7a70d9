"""Data of an application that drills restore, and copies of it that somebody spoiled."""

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local.sign_in import identity_token
from shared.models.records import RequestRecord
from shared.names import environment_names
from tests.integration.day2 import STORAGE, VAULTS, group_of
from tests.integration.world import TENANT, World


@dataclass
class Account:
    """A storage account of a stage with one container, versions and soft delete of seven days."""

    world: World
    request: RequestRecord

    def __post_init__(self) -> None:
        body = {"location": "westeurope", "tags": {"application": self.request.application}, "kind": "StorageV2"}
        self.world.azure(self.id, STORAGE, "PUT", {**body, "sku": {"name": "Standard_LRS"}})
        kept = {"enabled": True, "days": 7}
        service = {"isVersioningEnabled": True, "deleteRetentionPolicy": kept, "containerDeleteRetentionPolicy": kept}
        self.world.azure(f"{self.id}/blobServices/default", STORAGE, "PUT", {"properties": service})
        self.world.azure(f"{self.id}/blobServices/default/containers/data", STORAGE, "PUT", {"properties": {}})

    @property
    def name(self) -> str:
        return f"st{self.request.id.replace('-', '')[-14:].lower()}d"

    @property
    def id(self) -> str:
        return f"{group_of(self.request)}/providers/Microsoft.Storage/storageAccounts/{self.name}"

    def hold(self, blob: str, *versions: dict[str, Any]) -> None:
        """Let a blob have these versions, the oldest first."""
        self.world.seed("storage", {f"versions/{self.name}/data/{blob}": list(versions)})

    def spoil(self, account: str, blob: str, content: bytes | None) -> None:
        """Write over a copy in another account, or remove it."""
        headers = {
            "Authorization": f"Bearer {identity_token(self.world.stack, 'https://storage.azure.com')}",
            "x-ms-version": "2023-11-03",
            "x-ms-blob-type": "BlockBlob",
        }
        url = f"https://{account}.blob.core.windows.net/drill-restore/{blob}"
        method = "DELETE" if content is None else "PUT"
        self.world.stack.vendors.request(method, url, content=content, headers=headers).raise_for_status()


def version(minutes_ago: float, content: str, **more: Any) -> dict[str, Any]:
    """A version that was made so many minutes ago."""
    return {"made": ago(minutes_ago), "content": b64encode(content.encode()).decode(), **more}


def ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


@dataclass
class Vault:
    """The vault of a stage; ``name`` is another one's, if it is given."""

    world: World
    request: RequestRecord
    name: str = ""
    source_items: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.name:
            return
        self.name = environment_names(self.request.application, "dev", self.request.id).key_vault
        properties = {"tenantId": TENANT, "sku": {"family": "A", "name": "standard"}, "enablePurgeProtection": True}
        body = {"location": "westeurope", "tags": {"application": self.request.application}, "properties": properties}
        self.world.azure(self.id, VAULTS, "PUT", body)

    @property
    def id(self) -> str:
        return f"{group_of(self.request)}/providers/Microsoft.KeyVault/vaults/{self.name}"

    def call(self, method: str, path: str, content: Any = None) -> Any:
        token = identity_token(self.world.stack, "https://vault.azure.net")
        url = f"https://{self.name}.vault.azure.net/{path}?api-version=2026-04-01"
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.world.stack.vendors.request(method, url, json=content, headers=headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def publish(self, secret: str, value: str, **attributes: Any) -> str:
        """A new version; its name."""
        made = self.call("PUT", f"secrets/{secret}", {"value": value, "attributes": attributes})
        return str(made["id"]).rpartition("/")[2]

    def change(self, secret: str, version: str, **attributes: Any) -> None:
        self.call("PATCH", f"secrets/{secret}/{version}", {"attributes": attributes})
