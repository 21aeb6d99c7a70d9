"""The example resource. Replace it with the first real one; keep the shape: model, port, adapter."""

from typing import Protocol
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field


class NewItem(BaseModel):
    """What a caller sends."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=100, examples=["first"])


class Item(NewItem):
    """What the service keeps."""

    id: UUID


class StoreUnavailableError(Exception):
    """The store cannot be reached now; the caller may try again."""


class ItemStore(Protocol):
    """Where items are kept."""

    def check(self) -> None:
        """Raise StoreUnavailableError unless the store can be used."""

    def add(self, new: NewItem) -> Item:
        """Keep a new item."""

    def find(self, item_id: UUID) -> Item | None:
        """Return one item, or None."""

    def first(self, limit: int) -> list[Item]:
        """Return items in the order in which they came."""


class MemoryItems:
    """Items of this process only: for tests, a laptop, and services that keep nothing."""

    def __init__(self) -> None:
        self._items: dict[UUID, Item] = {}

    def check(self) -> None:
        """Memory can always be used."""

    def add(self, new: NewItem) -> Item:
        """Keep a new item."""
        item = Item(id=uuid4(), name=new.name)
        self._items[item.id] = item
        return item

    def find(self, item_id: UUID) -> Item | None:
        """Return one item, or None."""
        return self._items.get(item_id)

    def first(self, limit: int) -> list[Item]:
        """Return items in the order in which they came."""
        return list(self._items.values())[:limit]
