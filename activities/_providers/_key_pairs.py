"""What holders of two keys in Azure have in common: whose they are, their locks, connection strings."""

import re
from collections.abc import Mapping

from activities._providers.port import CREDENTIAL, Credential
from shared import tagging
from shared.clients import resources

ARM = "https://management.azure.com"
SEGMENT = r"[A-Za-z0-9._()-]+"
GROUP = rf"/subscriptions/[0-9a-fA-F-]{{36}}/resourceGroups/{SEGMENT}/providers"


class KeyPair:
    """Two keys with fixed names that take turns.

    Attributes:
        address: pattern of the ids that it knows; its group ``holder`` is the resource that carries the tags.
        keys: their names.
        field: where a connection string has the key.
    """

    kind: str
    adds = False
    needs: str
    address: re.Pattern[str]
    keys: tuple[str, str]
    field: re.Pattern[str]

    def issues(self, address: str) -> bool:
        """Whether the address is one of its."""
        return self.address.fullmatch(address) is not None

    def alternate(self, tags: Mapping[str, str]) -> str | None:
        """The other of the two keys."""
        used, (first, second) = tags.get(CREDENTIAL), self.keys
        return {first: second, second: first}.get(used or "")

    async def owner(self, address: str) -> str:
        """The application in the holder's tags. Raises NotFoundError: it does not exist."""
        return tagging.owner_of(await resources.read_tags(self._holder(address)))

    async def locked(self, address: str) -> bool:
        """Whether a lock lies on it, or on what it is in."""
        return await resources.is_locked(address)

    def shown(self, published: str) -> str:
        """The key itself, or the one in a connection string."""
        found = self.field.search(published)
        return found.group("key") if found else published

    def written(self, published: str, credential: Credential) -> str:
        """The new key, in the same connection string if it was one."""
        found = self.field.search(published)
        if found is None:
            return credential.value
        return published[: found.start("key")] + credential.value + published[found.end("key") :]

    def _holder(self, address: str) -> str:
        found = self.address.fullmatch(address)
        assert found is not None, "the address is one of ours"  # noqa: S101 - `issues` was asked
        return found["holder"]
