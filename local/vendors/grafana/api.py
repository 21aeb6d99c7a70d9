"""Who may call, then folders, and the search.

https://learn.microsoft.com/azure/managed-grafana/how-to-authenticate-data-plane-api
https://grafana.com/docs/grafana/v11.6/developers/http_api/folder/
https://grafana.com/docs/grafana/v11.6/developers/http_api/folder_dashboard_search/
"""

from contextlib import suppress

from aiohttp import web

from local.vendors.kernel.faults import Handler

from .dashboards import Dashboards
from .items import BRIEF, LOGIN, ROOT, SIGNED, Item, Refused, address, blank, body_of, page, title_of

AUDIENCE = "ce34e7e5-485f-4d76-964f-b3d2b16d1e4f"
RIGHTS = {"hasAcl": False, "canSave": True, "canEdit": True, "canAdmin": True, "canDelete": True}


class Api(Dashboards):
    """Handlers; folders are all at the root."""

    def guarded(self, handler: Handler) -> Handler:
        """A handler that demands a token of Entra ID, and refuses in the vendor's shape."""

        async def run(request: web.Request) -> web.StreamResponse:
            try:
                request[LOGIN] = self._login(request)
                return await handler(request)
            except Refused as error:
                status, *texts = error.args
                return web.json_response(dict(zip(("message", "status"), texts, strict=False)), status=status)

        return run

    def _login(self, request: web.Request) -> str:
        """The object id behind the token. Raises Refused 401."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        with suppress(ValueError):
            claims = self.kernel.vendor("entra").verify(token)
            if scheme.lower() == "bearer" and claims["aud"] == AUDIENCE:
                return str(claims["oid"])
        raise Refused(401, "Unauthorized")

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"commit": "087143285", "database": "ok", "version": "11.6.0"})

    async def list_folders(self, request: web.Request) -> web.Response:
        rows = [{name: item[name] for name in BRIEF} for item in self.all() if item["folder"]]
        return web.json_response(page(request, rows))

    async def create_folder(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        if body.get("parentUid"):
            raise Refused(501, "the stand-in has no nested folders")
        item = blank(body.get("uid"), folder=True)
        if self.find(item["uid"]):
            raise Refused(409, "a folder/dashboard with the same uid already exists")
        return self._save_folder(request, item, body)

    async def read_folder(self, request: web.Request) -> web.Response:
        return web.json_response(_folder(self.one(request)))

    async def update_folder(self, request: web.Request) -> web.Response:
        """Rename: with the current version, or with `overwrite`."""
        body, item = await body_of(request), self.one(request)
        if body.get("overwrite") is not True and body.get("version") != item["version"]:
            raise Refused(412, "The folder has been changed by someone else", "version-mismatch")
        return self._save_folder(request, item, {"title": item["title"]} | body)

    async def search(self, request: web.Request) -> web.Response:
        """Folders and dashboards in the order of their titles; a dashboard needs every `tag`."""
        if unknown := sorted(request.query.keys() - {"tag", "type", "folderUIDs", "limit", "page"}):
            raise Refused(501, f"the stand-in does not search by {', '.join(unknown)}")
        kinds, tags = (set(request.query.getall(name, [])) for name in ("type", "tag"))
        hits = [hit for hit in map(self._hit, self.all()) if {hit["type"]} >= kinds and tags <= set(hit["tags"])]
        if folders := {"" if uid in ROOT else uid for uid in request.query.getall("folderUIDs", [])}:
            hits = [hit for hit in hits if hit.get("folderUid", "") in folders]
        return web.json_response(page(request, hits))

    def _save_folder(self, request: web.Request, item: Item, body: Item) -> web.Response:
        item |= {"title": title_of(body, "folder title cannot be empty")}
        if self.namesake(item):
            raise Refused(409, "a folder or dashboard in the general folder with the same name already exists")
        self.save(item, request[LOGIN])
        return web.json_response(_folder(item))

    def _hit(self, item: Item) -> Item:
        hit = {name: item[name] for name in BRIEF} | {"type": "dash-folder" if item["folder"] else "dash-db"}
        hit |= {"url": address(item), "isStarred": False, "tags": item["model"].get("tags") or []}
        return hit | self.place(item)


def _folder(item: Item) -> Item:
    return {name: item[name] for name in (*BRIEF, *SIGNED)} | RIGHTS | {"url": address(item)}
