"""Folders and dashboards: one set of uids, and one title per place, as in Grafana's own table.

https://grafana.com/docs/grafana/v11.6/developers/http_api/folder/
"""

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiohttp import web

from local.vendors.kernel import Kernel

LOGIN = web.RequestKey("login", str)
ROOT = {"", "general"}
BRIEF = ("id", "uid", "title")
SIGNED = ("created", "createdBy", "updated", "updatedBy", "version")

type Item = dict[str, Any]


class Refused(Exception):  # noqa: N818 -- an answer to the caller, not an error of the stand-in
    """Status code, message and, if the vendor gives one, status word of an answer."""


class Items:
    """What the workspace holds; `parent` is the uid of a folder, or empty at the root."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.store = kernel.store("grafana")

    def all(self) -> list[Item]:
        return sorted((item for _, item in self.store.list("item/")), key=lambda item: (item["title"], item["uid"]))

    def find(self, uid: str) -> Item | None:
        return self.store.get(f"item/{uid}")

    def one(self, request: web.Request) -> Item:
        """The item that a path names. Raises Refused 404."""
        item, folder = self.find(request.match_info["uid"]), request.match_info["kind"] == "folders"
        if item and item["folder"] is folder:
            return item
        raise Refused(404, *(("folder not found", "not-found") if folder else ("Dashboard not found",)))

    def namesake(self, item: Item) -> Item | None:
        """Another item with the same title in the same place."""
        others = (one for one in self.all() if one["uid"] != item["uid"] and one["parent"] == item["parent"])
        return next((one for one in others if one["title"] == item["title"]), None)

    def save(self, item: Item, login: str) -> None:
        """Keep an item as its next version; a new one gets an id."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self.store.transaction():
            if not item["id"]:
                item |= {"id": (self.store.get("id") or 0) + 1, "created": now, "createdBy": login}
                self.store.put("id", item["id"])
            item |= {"version": item["version"] + 1, "updated": now, "updatedBy": login}
            self.store.put(f"item/{item['uid']}", item)

    async def delete(self, request: web.Request) -> web.Response:
        """Remove an item; a folder with its dashboards."""
        item = self.one(request)
        with self.store.transaction():
            for uid in [one["uid"] for one in self.all() if item["uid"] in (one["uid"], one["parent"])]:
                self.store.delete(f"item/{uid}")
        said = f"{'Folder' if item['folder'] else 'Dashboard'} {item['title']} deleted"
        return web.json_response({name: item[name] for name in BRIEF} | {"message": said})


def blank(uid: object, *, folder: bool) -> Item:
    """A new item; without a uid it gets one. Raises Refused 400."""
    text = str(uid or "")
    if not re.fullmatch("[A-Za-z0-9_-]{0,40}", text):
        raise Refused(400, "uid too long, max 40 characters" if len(text) > 40 else "uid contains illegal characters")
    return {"id": 0, "uid": text or str(uuid4()), "folder": folder, "parent": "", "version": 0, "model": {}}


def title_of(document: dict[str, Any], *otherwise: str) -> str:
    """The title, without blanks around it. Raises Refused 400 with what is said otherwise."""
    if title := str(document.get("title") or "").strip():
        return title
    raise Refused(400, *otherwise)


def slug(item: Item) -> str:
    return re.sub("[^a-z0-9]+", "-", item["title"].lower()).strip("-")


def address(item: Item) -> str:
    return f"/{'dashboards/f' if item['folder'] else 'd'}/{item['uid']}/{slug(item)}"


def page(request: web.Request, rows: list[Item]) -> list[Item]:
    """The part of a list that `limit` and `page` ask for; nonsense means the default."""
    texts = (request.query.get(name, "") for name in ("limit", "page"))
    limit, number = (int(text) if text.isdecimal() else 0 for text in texts)
    if limit > 5000:
        raise Refused(422, "Limit is above maximum allowed (5000), use page parameter to access hits beyond limit")
    return rows[(max(number, 1) - 1) * (limit or 1000) :][: limit or 1000]


async def body_of(request: web.Request) -> dict[str, Any]:
    """A JSON object. Raises Refused 400."""
    try:
        return dict(json.loads(await request.read()))
    except (TypeError, ValueError) as error:
        raise Refused(400, "bad request data") from error
