"""Data of an application that drills restore, and copies of it that somebody spoiled."""

from dataclasses import dataclass, field
from typing import Any

from local.sign_in import identity_token
from shared.models.records import RequestRecord
from shared.names import environment_names
from tests.integration.day2 import VAULTS, group_of
from tests.integration.world import TENANT, World


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
