"""The secrets of every vault: versions, and deleted ones until they are purged."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from local.vendors.kernel import Store

RECOVERABLE_DAYS = 90
type Version = dict[str, Any]


class Vaults:
    """Secrets by vault name. Other stand-ins may read and write them in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set_secret(self, vault: str, name: str, value: str, **properties: Any) -> Version:
        """Add a version, also when the value is the same."""
        now = int(time.time())
        fixed = {"created": now, "updated": now, "recoveryLevel": "Recoverable+Purgeable"}
        attributes = {"enabled": True} | properties.pop("attributes", {}) | fixed
        recoverable = {"recoverableDays": RECOVERABLE_DAYS}
        version = {"id": uuid4().hex, "value": value, **properties, "attributes": attributes | recoverable}
        with self._store.transaction():
            self._store.put(_key(vault, name), [*self.versions(vault, name), version])
        return version

    def seed_secret(self, vault: str, name: str, value: str) -> None:
        """Make sure that the newest version has this value; a secret that has it is left alone."""
        if self.get_secret(vault, name) != value:
            self.set_secret(vault, name, value)

    def get_secret(self, vault: str, name: str) -> str | None:
        """The value of the newest version."""
        versions = self.versions(vault, name)
        return versions[-1]["value"] if versions else None

    def versions(self, vault: str, name: str) -> list[Version]:
        """All versions, the oldest first; empty when there is no such secret."""
        return self._store.get(_key(vault, name)) or []

    def update(self, vault: str, name: str, version: Version) -> None:
        """Replace a version by id."""
        changed = [version if one["id"] == version["id"] else one for one in self.versions(vault, name)]
        self._store.put(_key(vault, name), changed)

    def names(self, vault: str, *, deleted: bool = False) -> list[str]:
        """The names in a vault; they are in lower case, because upper and lower case are the same secret."""
        prefix = f"{_state(deleted)}/{vault.lower()}/"
        return [key.removeprefix(prefix) for key, _ in self._store.list(prefix)]

    def every_secret(self) -> Iterator[tuple[str, str, list[Version]]]:
        """Every secret that is not deleted: vault and name in lower case, and its versions."""
        for key, versions in self._store.list("secrets/"):
            _, vault, name = key.split("/")
            yield vault, name, versions

    def restore(self, vault: str, name: str, versions: list[Version]) -> None:
        """Put a secret there with all its versions, as they were in another vault."""
        self._store.put(_key(vault, name), versions)

    def delete(self, vault: str, name: str) -> dict[str, Any]:
        """Move a secret to the deleted ones."""
        now = int(time.time())
        scheduled = now + RECOVERABLE_DAYS * 86400
        entry = {"deleted": now, "purge": scheduled, "versions": self.versions(vault, name)}
        with self._store.transaction():
            self._store.put(_key(vault, name, deleted=True), entry)
            self._store.delete(_key(vault, name))
        return entry

    def deleted(self, vault: str, name: str) -> dict[str, Any] | None:
        """A deleted secret: when, until when, and its versions."""
        return self._store.get(_key(vault, name, deleted=True))

    def purge(self, vault: str, name: str) -> None:
        """Forget a deleted secret; its name is free again."""
        self._store.delete(_key(vault, name, deleted=True))

    def recover(self, vault: str, name: str, entry: dict[str, Any]) -> None:
        """Bring a deleted secret back with all its versions."""
        with self._store.transaction():
            self._store.put(_key(vault, name), entry["versions"])
            self.purge(vault, name)


def _state(deleted: bool) -> str:
    return "deleted" if deleted else "secrets"


def _key(vault: str, name: str, *, deleted: bool = False) -> str:
    return f"{_state(deleted)}/{vault.lower()}/{name.lower()}"
