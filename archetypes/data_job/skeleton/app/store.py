"""The port to the storage, and two of its adapters: a folder for a laptop and tests, a container in Azure."""

from pathlib import Path
from typing import Any, Protocol


class NoInputError(Exception):
    """There is no such file."""


class Store(Protocol):
    """Files by name. Writing one again replaces it as a whole."""

    def read(self, name: str) -> bytes:
        """Content of a file. Raises NoInputError."""

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a file; nobody ever sees a part of it."""


class FolderStore:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes:
        """Content of a file."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError as error:
            raise NoInputError(name) from error

    def write(self, name: str, content: bytes) -> None:
        """Write it beside, then put it in place."""
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.draft")
        draft.write_bytes(content)
        draft.replace(target)


class BlobStore:
    """A container of a storage account, signed in to with the workload identity: no key exists.

    https://learn.microsoft.com/python/api/overview/azure/storage-blob-readme
    """

    def __init__(self, account_url: str, container: str) -> None:
        self._account_url, self._container = account_url, container
        self._client: Any = None

    def read(self, name: str) -> bytes:
        """Content of a blob."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return bytes(self._open().download_blob(name).readall())
        except ResourceNotFoundError as error:
            raise NoInputError(name) from error

    def write(self, name: str, content: bytes) -> None:
        """One request for a small blob, blocks with one commit for a large one: never a part of it."""
        self._open().upload_blob(name, content, overwrite=True)

    def _open(self) -> Any:
        if self._client is None:
            from azure.identity import WorkloadIdentityCredential
            from azure.storage.blob import ContainerClient

            self._client = ContainerClient(self._account_url, self._container, credential=WorkloadIdentityCredential())
        return self._client
