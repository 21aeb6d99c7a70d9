"""The two access keys of a storage account."""

import re
from datetime import datetime

from activities._providers._key_pairs import ARM, GROUP, SEGMENT, KeyPair
from activities._providers.port import Credential, Turn
from shared.clients import storage_keys
from shared.clients.storage_keys import AccessKey
from shared.guard import Permit
from shared.models.operations import PlannedCall


class StorageKeys(KeyPair):
    """Access keys; Azure keeps when each was made, so that a repeat knows its own."""

    kind = "storage account key"
    needs = "must name a storage account and key1 or key2"
    address = re.compile(rf"(?P<holder>{GROUP}/Microsoft\.Storage/storageAccounts/{SEGMENT})", re.IGNORECASE)
    keys = ("key1", "key2")
    field = re.compile(r"(?:^|;)AccountKey=(?P<key>[^;]+)")

    def renewal(self, turn: Turn) -> PlannedCall:
        """The key is made new."""
        body = {"keyName": turn.credential}
        return PlannedCall(method="POST", target=f"{ARM}{turn.address}/regenerateKey", body=body)

    retirement = renewal

    async def renew(self, turn: Turn, permit: Permit) -> Credential:
        """The key as this operation made it; made now unless it did so before."""
        key = (await storage_keys.list_keys(turn.address))[turn.credential]
        if not _own(turn, key):
            key = (await storage_keys.regenerate_key(turn.address, turn.credential, permit))[turn.credential]
        return Credential(key.key_name, key.value)

    async def read(self, turn: Turn) -> Credential | None:
        """The key as it is now."""
        key = (await storage_keys.list_keys(turn.address))[turn.credential]
        return Credential(key.key_name, key.value)

    async def authenticates(self, turn: Turn, credential: Credential) -> bool:
        """Whether the blob service lets in who signs with the key."""
        key = AccessKey(key_name=credential.name, value=credential.value)
        return await storage_keys.authenticates(turn.address, key)

    async def retire(self, turn: Turn, published: Credential, permit: Permit) -> None:
        """The key gets a value that is kept nowhere."""
        assert published.name != turn.credential, "what is published stays"  # noqa: S101 - a mix-up would lock out
        await self.renew(turn, permit)


def _own(turn: Turn, key: AccessKey) -> bool:
    since = datetime.fromisoformat(turn.since)
    return key.creation_time is not None and datetime.fromisoformat(key.creation_time) >= since
