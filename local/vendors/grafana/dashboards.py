"""Dashboards.

https://grafana.com/docs/grafana/v11.6/developers/http_api/dashboard/
"""

from typing import Any

from aiohttp import web

from .items import BRIEF, LOGIN, ROOT, SIGNED, Item, Items, Refused, address, blank, body_of, slug, title_of

META = {"type": "db", "folderId": 0, "folderUid": "", "folderTitle": "General", "folderUrl": ""}
META |= dict.fromkeys(("canSave", "canEdit", "canAdmin", "canDelete", "canStar"), True)
META |= dict.fromkeys(("isStarred", "isFolder", "hasAcl", "provisioned"), False)


class Dashboards(Items):
    """The items, and what only dashboards have."""

    async def save_dashboard(self, request: web.Request) -> web.Response:
        """Create or replace. Without a folder the dashboard is at the root afterwards, wherever it was."""
        body = await body_of(request)
        model = body.get("dashboard")
        if not isinstance(model, dict):
            raise Refused(400, "bad request data")
        if model.get("id") or body.get("folderId"):
            raise Refused(501, "the stand-in knows uids only: no dashboard.id, no folderId")
        title = title_of(model, "Dashboard title cannot be empty", "empty-name")
        content = {"title": title, "parent": self._parent(body), "model": model}
        item = self._target(blank(model.get("uid"), folder=False), content, overwrite=body.get("overwrite") is True)
        self.save(item, request[LOGIN])
        answer = {name: item[name] for name in ("id", "uid", "version")} | {"folderUid": item["parent"]}
        return web.json_response(answer | {"status": "success", "url": address(item), "slug": slug(item)})

    async def read_dashboard(self, request: web.Request) -> web.Response:
        item = self.one(request)
        meta = META | {name: item[name] for name in SIGNED} | {"slug": slug(item), "url": address(item)}
        model = item["model"] | {name: item[name] for name in ("id", "uid", "version")}
        return web.json_response({"meta": meta | self.place(item), "dashboard": model})

    def place(self, item: Item) -> Item:
        """The folder of a dashboard; nothing at the root."""
        if not (folder := self.find(item["parent"])):
            return {}
        named = {f"folder{name.capitalize()}": folder[name] for name in BRIEF}
        return named | {"folderUrl": address(folder)}

    def _parent(self, body: dict[str, Any]) -> str:
        """The folder to save in. Raises Refused 400."""
        uid = str(body.get("folderUid") or "")
        if uid not in ROOT and not (self.find(uid) or {}).get("folder"):
            raise Refused(400, "folder not found")
        return "" if uid in ROOT else uid

    def _target(self, new: Item, content: Item, *, overwrite: bool) -> Item:
        """What a save changes. As on the server, an overwrite takes over the dashboard that has the title already."""
        found = self.find(new["uid"])
        if found and found["folder"]:
            raise Refused(400, "Dashboard cannot be changed to a folder")
        if found and not overwrite and content["model"].get("version") != found["version"]:
            raise Refused(412, "The dashboard has been changed by someone else", "version-mismatch")
        item = (found or new) | content
        other = self.namesake(item)
        if other and other["folder"]:
            raise Refused(400, "Dashboard name cannot be the same as folder", "name-match")
        if other and not overwrite:
            raise Refused(412, "A dashboard with the same name in the folder already exists", "name-exists")
        return other | content if other else item
