"""The Grafana stand-in behaves like a workspace: over HTTPS, through the proxy, with a token of Entra ID."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.vendors import entra, grafana
from local.vendors.kernel import Kernel

WORKSPACE = "https://appstore-weu.wus.grafana.azure.com"
RESOURCE = "ce34e7e5-485f-4d76-964f-b3d2b16d1e4f"
SAVE = "/api/dashboards/db"
PANELS = [{"id": 1, "type": "timeseries", "title": "Requests"}]


class Client(httpx.AsyncClient):
    kernel: Kernel

    async def sign_in(self, resource: str = RESOURCE) -> None:
        """With a token of the managed identity endpoint."""
        query = {"resource": resource, "api-version": "2019-08-01"}
        async with httpx.AsyncClient(trust_env=False, headers={"X-IDENTITY-HEADER": "local"}) as machine:
            answer = await machine.get(f"{self.kernel.proxy_url}/msi/token", params=query)
        self.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    async def ask(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        answer = await self.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def folder(self, uid: str, title: str) -> Any:
        return await self.ask("POST", "/api/folders", {"uid": uid, "title": title})

    async def save(self, uid: str | None, status: int = 200, **more: Any) -> Any:
        """Save a dashboard; title, tags and version go into it, the rest beside it."""
        dashboard = {name: more.pop(name) for name in ("title", "tags", "version", "panels") if name in more}
        body = {"dashboard": {"id": None, "uid": uid, "title": uid} | dashboard, "message": "App Store"} | more
        return await self.ask("POST", SAVE, body, status)

    async def found(self, query: str) -> list[str]:
        return [hit["uid"] for hit in await self.ask("GET", f"/api/search?{query}")]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    kernel = Kernel(tmp_path)
    await kernel.start([entra.build(kernel), grafana.build(kernel)])
    trust = ssl.create_default_context(cafile=str(kernel.ca_bundle))
    async with Client(base_url=WORKSPACE, proxy=kernel.proxy_url, verify=trust) as http:
        http.kernel = kernel
        await http.sign_in()
        yield http
    await kernel.stop()


async def test_every_call_needs_a_token_for_grafana(client: Client) -> None:
    good = client.headers["Authorization"]
    assert (await client.ask("GET", "/api/health"))["database"] == "ok"
    await client.sign_in("https://management.azure.com")
    for header in (client.headers["Authorization"], "", "Bearer made-up", good.replace("Bearer", "Basic")):
        client.headers["Authorization"] = header
        for path in ("/api/health", "/api/folders", "/api/search", "/api/dashboards/uid/a"):
            assert await client.ask("GET", path, status=401) == {"message": "Unauthorized"}


async def test_routes_it_does_not_have_are_not_implemented(client: Client) -> None:
    for path in ("/api/datasources", "/apis/dashboard.grafana.app/v1/namespaces/default/dashboards"):
        assert (await client.get(path)).status_code == 501
    assert (await client.ask("GET", "/api/search?starred=true", status=501))["message"].endswith("search by starred")
    await client.ask("POST", "/api/folders", {"title": "a", "parentUid": "b"}, 501)
    await client.save("a", 501, folderId=3)


async def test_a_folder_is_created_once(client: Client) -> None:
    created = await client.folder("app-shop", "Shop")
    expected = {"id": 1, "uid": "app-shop", "title": "Shop", "version": 1, "url": "/dashboards/f/app-shop/shop"}
    assert expected.items() <= created.items()
    assert await client.ask("GET", "/api/folders/app-shop") == created
    taken = await client.ask("POST", "/api/folders", {"uid": "app-shop", "title": "Other"}, 409)
    assert taken == {"message": "a folder/dashboard with the same uid already exists"}
    await client.ask("POST", "/api/folders", {"uid": "other", "title": "Shop"}, 409)
    generated = await client.ask("POST", "/api/folders", {"title": "Cart"})
    assert len(generated["uid"]) == 36
    folders = [{"id": 2, "uid": generated["uid"], "title": "Cart"}, {"id": 1, "uid": "app-shop", "title": "Shop"}]
    assert await client.ask("GET", "/api/folders") == folders
    assert await client.ask("GET", "/api/folders?limit=1&page=2") == folders[1:]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"uid": "a", "title": " "}, "folder title cannot be empty"),
        ({"uid": "a" * 41, "title": "a"}, "uid too long, max 40 characters"),
        ({"uid": "a/b", "title": "a"}, "uid contains illegal characters"),
        (["a"], "bad request data"),
    ],
)
async def test_a_folder_needs_a_title_and_a_valid_uid(client: Client, body: object, message: str) -> None:
    assert await client.ask("POST", "/api/folders", body, 400) == {"message": message}


async def test_a_folder_is_renamed_with_its_version_or_by_overwriting(client: Client) -> None:
    await client.folder("f", "Shop")
    await client.folder("g", "Cart")
    path = "/api/folders/f"
    for version in ({}, {"version": 7}):
        stale = await client.ask("PUT", path, {"title": "New"} | version, 412)
        assert stale == {"message": "The folder has been changed by someone else", "status": "version-mismatch"}
    assert (await client.ask("PUT", path, {"title": "New", "version": 1}))["version"] == 2
    assert (await client.ask("PUT", path, {"title": "Newer", "overwrite": True}))["url"] == "/dashboards/f/f/newer"
    await client.ask("PUT", path, {"title": "Cart", "overwrite": True}, 409)
    await client.ask("PUT", path, {"title": "", "overwrite": True}, 400)
    assert (await client.ask("GET", path))["title"] == "Newer"


async def test_a_folder_goes_with_its_dashboards(client: Client) -> None:
    await client.folder("f", "Shop")
    await client.save("inside", folderUid="f")
    await client.save("outside")
    gone = await client.ask("DELETE", "/api/folders/f")
    assert gone == {"id": 1, "uid": "f", "title": "Shop", "message": "Folder Shop deleted"}
    assert await client.found("") == ["outside"]
    for method in ("GET", "PUT", "DELETE"):
        missing = await client.ask(method, "/api/folders/f", {}, 404)
        assert missing == {"message": "folder not found", "status": "not-found"}


async def test_a_dashboard_comes_back_as_it_was_saved(client: Client) -> None:
    folder = await client.folder("f", "Shop")
    saved = await client.save("d", title="Shop: Overview", tags=["appstore"], panels=PANELS, folderUid="f")
    assert saved == {
        "id": 2,
        "uid": "d",
        "url": "/d/d/shop-overview",
        "status": "success",
        "version": 1,
        "slug": "shop-overview",
        "folderUid": "f",
    }
    read = await client.ask("GET", "/api/dashboards/uid/d")
    content = {"id": 2, "uid": "d", "title": "Shop: Overview", "version": 1, "tags": ["appstore"], "panels": PANELS}
    assert read["dashboard"] == content
    meta = {"folderId": 1, "folderUid": "f", "folderTitle": "Shop", "folderUrl": folder["url"], "version": 1}
    assert (meta | {"url": saved["url"], "slug": saved["slug"]}).items() <= read["meta"].items()
    assert read["meta"]["createdBy"] == folder["createdBy"]


async def test_an_update_needs_the_version_or_overwrite(client: Client) -> None:
    await client.save("d")
    stale = await client.save("d", 412, title="New")
    assert stale == {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
    assert (await client.save("d", title="New", version=1))["version"] == 2
    assert (await client.save("d", 412, version=1))["status"] == "version-mismatch"
    again = await client.save("d", title="Newer", version=1, overwrite=True)
    assert (again["id"], again["version"], again["url"]) == (1, 3, "/d/d/newer")


async def test_an_update_without_a_folder_moves_to_the_root(client: Client) -> None:
    await client.folder("f", "Shop")
    await client.save("d", folderUid="f")
    assert (await client.save("d", overwrite=True))["folderUid"] == ""
    meta = (await client.ask("GET", "/api/dashboards/uid/d"))["meta"]
    assert (meta["folderId"], meta["folderUid"], meta["folderTitle"], meta["folderUrl"]) == (0, "", "General", "")
    assert (await client.save("d", overwrite=True, folderUid="f"))["folderUid"] == "f"
    assert (await client.save("d", overwrite=True, folderUid="general"))["folderUid"] == ""


async def test_a_title_is_unique_in_its_folder(client: Client) -> None:
    await client.folder("f", "Shop")
    first = await client.save("first", title="Overview", folderUid="f")
    taken = await client.save("second", 412, title="Overview", folderUid="f")
    assert taken == {"message": "A dashboard with the same name in the folder already exists", "status": "name-exists"}
    await client.save("second", title="Overview")
    over = await client.save("third", title="Overview", folderUid="f", overwrite=True)
    assert (over["uid"], over["id"], over["version"]) == ("first", first["id"], 2)
    assert (await client.get("/api/dashboards/uid/third")).status_code == 404
    assert (await client.save("fourth", 400, title="Shop", overwrite=True))["status"] == "name-match"


async def test_folders_and_dashboards_share_their_uids(client: Client) -> None:
    await client.folder("f", "Shop")
    await client.save("d")
    await client.ask("POST", "/api/folders", {"uid": "d", "title": "Other"}, 409)
    changed = await client.save("f", 400, overwrite=True)
    assert changed == {"message": "Dashboard cannot be changed to a folder"}
    assert (await client.save("e", 400, folderUid="d"))["message"] == "folder not found"
    assert (await client.get("/api/dashboards/uid/f")).status_code == 404


async def test_a_dashboard_that_is_not_valid_is_refused(client: Client) -> None:
    empty = {"message": "Dashboard title cannot be empty", "status": "empty-name"}
    for title in ("", " ", None):
        assert await client.save("d", 400, title=title) == empty
    assert await client.save("d" * 41, 400) == {"message": "uid too long, max 40 characters"}
    assert await client.save("d.e", 400) == {"message": "uid contains illegal characters"}
    assert await client.save("d", 400, folderUid="none") == {"message": "folder not found"}
    assert await client.ask("POST", SAVE, {"dashboard": None}, 400) == {"message": "bad request data"}
    assert (await client.post(SAVE, content="{")).status_code == 400
    assert (await client.save("d" * 40))["uid"] == "d" * 40
    assert len((await client.save(None, title="Generated"))["uid"]) == 36


async def test_a_deleted_dashboard_is_gone(client: Client) -> None:
    await client.save("d", title="Shop")
    gone = await client.ask("DELETE", "/api/dashboards/uid/d")
    assert gone == {"id": 1, "uid": "d", "title": "Shop", "message": "Dashboard Shop deleted"}
    for method in ("GET", "DELETE"):
        missing = await client.ask(method, "/api/dashboards/uid/d", status=404)
        assert missing == {"message": "Dashboard not found"}
    assert (await client.save("d", title="Shop"))["version"] == 1


async def test_search_filters_and_pages(client: Client) -> None:
    folder = await client.folder("f", "Shop")
    await client.save("a", tags=["appstore", "shop"], folderUid="f")
    await client.save("b", tags=["appstore"], folderUid="f")
    await client.save("c", tags=["shop"])
    assert await client.found("") == ["f", "a", "b", "c"]
    assert await client.found("type=dash-db&folderUIDs=f") == ["a", "b"]
    assert await client.found("type=dash-folder") == ["f"]
    assert await client.found("tag=appstore&tag=shop") == ["a"]
    assert await client.found("type=dash-db&folderUIDs=general&folderUIDs=f&limit=2&page=2") == ["c"]
    assert await client.found("folderUIDs=none") == []
    assert await client.found("limit=x&page=0") == ["f", "a", "b", "c"]
    assert "Limit is above" in (await client.ask("GET", "/api/search?limit=5001", status=422))["message"]
    hit = (await client.ask("GET", "/api/search?tag=appstore&limit=1"))[0]
    place = {"folderId": 1, "folderUid": "f", "folderTitle": "Shop", "folderUrl": folder["url"]}
    own = {"id": 2, "uid": "a", "title": "a", "type": "dash-db", "url": "/d/a/a", "tags": ["appstore", "shop"]}
    assert hit == place | own | {"isStarred": False}


async def test_what_was_answered_survives_another_start(client: Client, tmp_path: Path) -> None:
    await client.folder("f", "Shop")
    other = Kernel(tmp_path)
    assert [item["title"] for _, item in other.store("grafana").list("item/")] == ["Shop"]
    other.close()
