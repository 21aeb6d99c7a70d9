"""Version 1 of the HTTP interface. A breaking change is a new version beside it, never an edit here."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, Response, status

from app.items import Item, ItemStore, NewItem

router = APIRouter(prefix="/v1", tags=["items"])


def _items(request: Request) -> ItemStore:
    return request.app.state.items


@router.get("/items")
def list_items(request: Request, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> list[Item]:
    """List items, oldest first."""
    return _items(request).first(limit)


@router.post("/items", status_code=status.HTTP_201_CREATED)
def create_item(request: Request, response: Response, new: NewItem) -> Item:
    """Create an item."""
    item = _items(request).add(new)
    response.headers["Location"] = f"/v1/items/{item.id}"
    return item


@router.get("/items/{item_id}")
def read_item(request: Request, item_id: UUID) -> Item:
    """Read one item."""
    item = _items(request).find(item_id)
    if item is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no such item")
    return item
