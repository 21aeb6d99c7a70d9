"""Events of Key Vault: a new version, and a version whose end is near or past.

https://learn.microsoft.com/azure/event-grid/event-schema-key-vault
"""

import asyncio
import time
from typing import Any

from local.vendors.kernel import Kernel

from .topics import Event, Topics, event_of

PAUSE_SECONDS = 2.0
NEAR_SECONDS = 30 * 86400
VAULTS = "Microsoft.KeyVault/vaults"


class SecretEvents:
    """Looks at the vaults again and again: what was true before a kill is told after it, and only once."""

    def __init__(self, kernel: Kernel, topics: Topics) -> None:
        self._kernel = kernel
        self._topics = topics

    async def run(self) -> None:
        """Tell until the stand-ins end."""
        while True:
            self.look()
            await asyncio.sleep(PAUSE_SECONDS)

    def look(self) -> None:
        """Tell what has become true since the last look. A vault that Resource Manager does not have has no topic."""
        topics = {item["name"].lower(): item["id"] for item in self._kernel.vendor("arm").resources(kind=VAULTS)}
        for vault, name, versions in self._kernel.vendor("key_vault").every_secret():
            for version in versions if vault in topics else []:
                for kind, mark in _true_of(version, newest=version is versions[-1]):
                    self._tell(event_of(topics[vault], name, kind, _data(vault, name, version)), mark)

    def _tell(self, event: Event, mark: str) -> None:
        store, key = self._topics.store, f"{event['data']['Version']}/{mark}"
        if store.get(f"told/{key}") is not None:
            return
        with store.transaction():
            if store.insert(f"told/{key}", event["id"]):
                self._topics.publish(event)


def _true_of(version: dict[str, Any], *, newest: bool) -> list[tuple[str, str]]:
    """Kinds of the events that are due, each with a mark of its own; only the end of the newest version is told."""
    found = [("Microsoft.KeyVault.SecretNewVersionCreated", "new")]
    ends = version["attributes"].get("exp")
    if newest and ends is not None:
        left = ends - time.time()
        kind = "SecretExpired" if left <= 0 else "SecretNearExpiry" if left <= NEAR_SECONDS else ""
        found += [(f"Microsoft.KeyVault.{kind}", f"{kind}-{ends}")] if kind else []
    return found


def _data(vault: str, name: str, version: dict[str, Any]) -> dict[str, Any]:
    return {
        "Id": f"https://{vault}.vault.azure.net/secrets/{name}/{version['id']}",
        "VaultName": vault,
        "ObjectType": "Secret",
        "ObjectName": name,
        "Version": version["id"],
        "NBF": version["attributes"].get("nbf"),
        "EXP": version["attributes"].get("exp"),
    }
