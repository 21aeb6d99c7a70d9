"""What people see behind the links: a page for what is there, 404 for what is not, and never a page for a program."""

import asyncio
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from local.sign_in import SERVICENOW
from local.vendors import actions, azure_boards, backstage, entra, github_projects, grafana, pages, servicenow, slack
from local.vendors.__main__ import _stand_ins
from local.vendors.kernel import Kernel, Vendor
from local.vendors.kernel.vendor import Directory
from tests.vendors.github_world import REPO, World

HOSTILE = "<script>alert('x')</script> & \"app\""
ESCAPED = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;app&#34;"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "User-Agent": "Mozilla/5.0"}
CURL = {"Accept": "*/*", "User-Agent": "curl/8.14"}
PRODUCT = {"Accept": "*/*", "User-Agent": "appstore-orchestrator"}
WORKSPACE = "https://appstore-weu.wus.grafana.azure.com"
BOARDS = "https://dev.azure.com/contoso"
CATALOG = "https://backstage.contoso.com"
GITHUB = "https://github.com"
WORKFLOW = "on: {push: {branches: [main]}}\njobs: {hello: {runs-on: local, steps: [{name: Greet, run: echo}]}}\n"
ENTITY = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: payments-api, description: TEXT, links: "
ENTITY += (
    "[{url: 'javascript:alert(1)', title: Trap}]}\nspec: {type: service, lifecycle: production, owner: payments}\n"
)
ABSENT = [
    f"{GITHUB}/contoso/absent",
    f"{GITHUB}/contoso/payments-api/pull/99",
    f"{GITHUB}/contoso/payments-api/commit/{'0' * 40}",
    f"{GITHUB}/contoso/payments-api/blob/main/absent.txt",
    f"{GITHUB}/contoso/payments-api/blob/main/.github",
    f"{GITHUB}/contoso/payments-api/blob/absent/README.md",
    f"{GITHUB}/contoso/payments-api/actions/runs/1",
    f"{GITHUB}/orgs/contoso/projects/99",
    f"{BOARDS}/Applications/_boards/board/t/absent/Stories",
    f"{BOARDS}/Applications/_boards/board/t/empty/Stories",
    f"{WORKSPACE}/dashboards/f/absent",
    f"{WORKSPACE}/dashboards/f/board/a-dashboard",
    f"{WORKSPACE}/d/folder",
    f"{SERVICENOW}/nav_to.do?uri=change_request.do?sys_id={'0' * 32}",
    f"{SERVICENOW}/nav_to.do?uri=absent.do?sys_id={'0' * 32}",
    f"{CATALOG}/catalog/default/component/absent",
    f"{CATALOG}/create/tasks/absent",
    "https://contoso.slack.com/archives/C0APPSTORE/p1700000000000001",
]


class _Links(HTMLParser):
    """The addresses that a page leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        self.found += [str(value) for name, value in attrs if tag == "a" and name == "href"]


class Site(World):
    """One of everything, each with a hostile text."""

    starts: dict[str, str]

    def others(self) -> list[Vendor]:
        parts = (actions, entra, github_projects, servicenow, grafana, slack, backstage, azure_boards, pages)
        return [part.build(self.kernel) for part in parts]

    async def get(self, url: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        tls, proxy = self.kernel.authority.client_context(), self.kernel.proxy_url
        async with self.session.get(url, headers=headers, proxy=proxy, ssl=tls, allow_redirects=False) as answer:
            await answer.read()
            return answer

    async def look(self, url: str, status: int = 200) -> str:
        """A page as a browser gets it."""
        answer = await self.get(url, BROWSER)
        text = await answer.text()
        assert (answer.status, answer.content_type) == (status, "text/html"), (url, text)
        return text

    async def ask(self, method: str, url: str, body: Any, audience: str = "", **headers: str) -> Any:
        """A call of an API."""
        token = await self._token(audience) if audience else ""
        given = ({"Authorization": f"Bearer {token}"} if token else {}) | headers
        tls, proxy = self.kernel.authority.client_context(), self.kernel.proxy_url
        async with self.session.request(method, url, json=body, headers=given, proxy=proxy, ssl=tls) as answer:
            assert answer.status < 300, (url, await answer.text())
            return await answer.json()

    async def _token(self, audience: str) -> str:
        query = {"resource": audience, "api-version": "2019-08-01"}
        url, headers = f"{self.kernel.proxy_url}/msi/token", {"X-IDENTITY-HEADER": "local"}
        async with self.session.get(url, params=query, headers=headers) as answer:
            return str((await answer.json())["access_token"])

    async def fill(self) -> None:
        self.starts = {
            **await self._github(),
            **await self._project(),
            **await self._team(),
            **await self._grafana(),
            **await self._servicenow(),
            **await self._backstage(),
            **await self._slack(),
        }

    async def _github(self) -> dict[str, str]:
        await self.create(description=HOSTILE)
        text = ENTITY.replace("TEXT", "'" + HOSTILE.replace("'", "''") + "'")
        await self.commit({".github/workflows/ci.yml": WORKFLOW, "catalog-info.yaml": text}, message=HOSTILE)
        await self.commit({"odd #1?.txt": HOSTILE}, "topic")
        wanted = {"title": HOSTILE, "body": HOSTILE, "head": "topic", "base": "main"}
        await self.call("POST", f"{REPO}/pulls", wanted, status=201)
        await self.call("PUT", f"{REPO}/pulls/1/merge", {"merge_method": "squash"})
        runs = (await self.call("GET", f"{REPO}/actions/runs"))["workflow_runs"]
        for run in runs:
            await self._ended(run["id"])
        place = f"{GITHUB}/contoso/payments-api"
        return {"repository": place, "pull": f"{place}/pull/1", "run": runs[0]["html_url"]}

    async def _ended(self, number: int) -> None:
        for _ in range(600):
            if (await self.call("GET", f"{REPO}/actions/runs/{number}"))["conclusion"] == "success":
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the workflow does not succeed")

    async def _project(self) -> dict[str, str]:
        made = github_projects.projects.Projects(self.kernel)
        linked = [each["node_id"] for each in made.repositories()]
        board = made.create(HOSTILE, linked)
        items = [{"option": None, "content": {"title": HOSTILE, "body": "first"}}]
        items += [{"option": board["status"]["options"][1]["id"], "content": {"title": "second", "body": ""}}]
        made.save(board | {"items": items})
        return {"project": f"{GITHUB}/orgs/contoso/projects/{board['number']}"}

    async def _team(self) -> dict[str, str]:
        audience, version = azure_boards.api.AUDIENCE, "api-version=7.1"
        for name in ("empty", "shop api"):
            url = f"{BOARDS}/_apis/projects/Applications/teams?{version}"
            await self.ask("POST", url, {"name": name, "description": HOSTILE}, audience)
        nodes = f"{BOARDS}/Applications/_apis/wit/classificationnodes"
        await self.ask("POST", f"{nodes}/Areas?{version}", {"name": "shop"}, audience)
        area = "Applications\\shop"
        settings = f"{BOARDS}/Applications/shop%20api/_apis/work/teamsettings"
        values = {"defaultValue": area, "values": [{"value": area, "includeChildren": True}]}
        await self.ask("PATCH", f"{settings}/teamfieldvalues?{version}", values, audience)
        root = (await self.ask("GET", f"{nodes}/Iterations", None, audience))["identifier"]
        await self.ask(
            "PATCH", f"{settings}?{version}", {"backlogIteration": root, "bugsBehavior": "asTasks"}, audience
        )
        links = [{"rel": "Hyperlink", "url": url} for url in (f"{GITHUB}/contoso/payments-api", "javascript:alert(1)")]
        fields = {"System.Title": HOSTILE, "System.AreaPath": area}
        patch: list[dict[str, Any]] = [
            {"op": "add", "path": f"/fields/{name}", "value": value} for name, value in fields.items()
        ]
        patch += [{"op": "add", "path": "/relations/-", "value": link} for link in links]
        url = f"{BOARDS}/Applications/_apis/wit/workitems/$User%20Story?{version}"
        await self.ask("POST", url, patch, audience, **{"Content-Type": "application/json-patch+json"})
        return {"team": f"{BOARDS}/Applications/_boards/board/t/shop%20api/Stories"}

    async def _grafana(self) -> dict[str, str]:
        audience, panels = grafana.api.AUDIENCE, [{"type": "timeseries", "title": HOSTILE}, "not a panel"]
        folder = {"uid": "folder", "title": HOSTILE}
        made = await self.ask("POST", f"{WORKSPACE}/api/folders", folder, audience)
        dashboard = {"uid": "board", "title": HOSTILE, "tags": [HOSTILE], "panels": panels}
        save = {"dashboard": dashboard, "folderUid": "folder"}
        board = await self.ask("POST", f"{WORKSPACE}/api/dashboards/db", save, audience)
        return {"folder": WORKSPACE + made["url"], "dashboard": WORKSPACE + board["url"]}

    async def _servicenow(self) -> dict[str, str]:
        form, tls, proxy = servicenow.api.CLIENT, self.kernel.authority.client_context(), self.kernel.proxy_url
        async with self.session.post(f"{SERVICENOW}/oauth_token.do", data=form, proxy=proxy, ssl=tls) as answer:
            bearer = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
        item = {"attributes": {"name": "payments-api"}, "source": "Other Automated"}
        found = await self.ask("POST", f"{SERVICENOW}/api/now/cmdb/instance/cmdb_ci_service_auto", item, "", **bearer)
        change = {"short_description": HOSTILE, "cmdb_ci": found["result"]["attributes"]["sys_id"]}
        made = await self.ask("POST", f"{SERVICENOW}/api/sn_chg_rest/v1/change/normal", change, "", **bearer)
        number = made["result"]["sys_id"]["value"]
        return {"change": f"{SERVICENOW}/nav_to.do?uri=change_request.do?sys_id={number}"}

    async def _backstage(self) -> dict[str, str]:
        target = f"{GITHUB}/contoso/payments-api/blob/main/catalog-info.yaml"
        location = {"type": "url", "target": target}
        audience = "api://backstage-scaffolder"
        await self.ask("POST", f"{CATALOG}/api/catalog/locations", location, audience)
        values = {"requestId": HOSTILE, "application": "payments-api", "owner": "payments"}
        wanted = {"templateRef": "template:default/announce-application", "values": values}
        made = await self.ask("POST", f"{CATALOG}/api/scaffolder/v2/tasks", wanted, audience)
        entity = f"{CATALOG}/catalog/default/component/payments-api"
        await self._visible(entity)
        return {"entity": entity, "task": f"{CATALOG}/create/tasks/{made['id']}"}

    async def _visible(self, entity: str) -> None:
        """A second later, for people as well; nobody asks the API."""
        for _ in range(200):
            if (await self.get(entity, CURL)).status == 200:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the entity does not appear")

    async def _slack(self) -> dict[str, str]:
        texts = [HOSTILE, f"<{GITHUB}/contoso/payments-api|Repository> <javascript:alert(1)|Trap>"]
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in texts]
        message = {"channel": "C0APPSTORE", "text": "welcome", "blocks": [{"type": "divider"}, *blocks]}
        bearer = {"Authorization": f"Bearer {slack.api.TOKEN}", "Content-Type": "application/json; charset=utf-8"}
        sent = await self.ask("POST", "https://slack.com/api/chat.postMessage", message, "", **bearer)
        return {"message": f"https://contoso.slack.com/archives/C0APPSTORE/p{sent['ts'].replace('.', '')}"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    await made.start()
    try:
        await made.fill()
        yield made
    finally:
        await made.stop()


def _links(text: str) -> list[str]:
    parser = _Links()
    parser.feed(text)
    return parser.found


async def test_every_link_opens_and_what_somebody_typed_is_text(site: Site) -> None:
    """From the first pages on, until there is no page that was not seen."""
    waiting, seen = list(site.starts.values()), dict[str, str]()
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        if "actions.githubusercontent.com" in url:
            assert (await site.get(url, BROWSER)).status == 200
            continue
        seen[url] = await site.look(url)
        assert "<script" not in seen[url]
        waiting += _links(seen[url])
    assert [name for name, url in site.starts.items() if ESCAPED not in seen[url] and name != "run"] == []
    kinds = ("/commit/", "/blob/main/odd%20%231%3F.txt", "/actions/runs/", "/d/board", "uri=cmdb_ci_service_auto.do")
    assert [kind for kind in kinds if not any(kind in url for url in seen)] == []
    assert "javascript:" not in "".join(link for text in seen.values() for link in _links(text))
    assert "merged" in seen[site.starts["pull"]]
    assert "Greet" in seen[site.starts["run"]]


async def test_what_is_not_there_is_a_page_with_404(site: Site) -> None:
    for url in ABSENT:
        assert "There is nothing here" in await site.look(url, 404)
    place = site.starts["repository"]
    await site.call("DELETE", REPO)
    for url in (place, f"{place}/pull/1", site.starts["run"]):
        await site.look(url, 404)


async def test_a_program_never_gets_a_page(site: Site) -> None:
    accepts = ("application/json", "application/json, text/plain, */*", "application/vnd.github+json, text/html", "")
    programs = [PRODUCT, BROWSER | {"User-Agent": "appstore-orchestrator azsdk-python/1"}]
    programs += [CURL | {"Accept": accept} for accept in accepts]
    for url in (url for name, url in site.starts.items() if name != "message"):
        for headers in programs:
            answer = await site.get(url, headers)
            assert (answer.status, answer.content_type) == (501, "application/problem+json"), (url, headers)
            assert "has no stand-in for GET" in (await answer.json(content_type=None))["detail"]
    for url in (f"{WORKSPACE}/api/datasources", f"{GITHUB}/contoso", "https://api.github.com/contoso/payments-api"):
        assert (await site.get(url, BROWSER)).status == 501


async def test_the_journal_has_views_as_reads_of_people(site: Site) -> None:
    await site.look(site.starts["change"])
    async with site.session.get(f"{site.kernel.proxy_url}/_vendors/journal?system=pages") as answer:
        entry = (await answer.text()).splitlines()[-1]
    assert site.starts["change"] in entry
    assert '"mutating": false' in entry.replace('"mutating":false', '"mutating": false')


async def test_a_merge_by_push_is_shown_before_anybody_asks_the_api(site: Site) -> None:
    await site.commit({"more.txt": "x"}, "later")
    wanted = {"title": "later", "head": "later", "base": "main"}
    await site.call("POST", f"{REPO}/pulls", wanted, status=201)
    place = f"{site.starts['repository']}/pull/2"
    assert "<td>open" in await site.look(place)
    sha = (await site.call("GET", f"{REPO}/git/ref/heads/later"))["object"]["sha"]
    await site.call("PATCH", f"{REPO}/git/refs/heads/main", {"sha": sha})
    assert "<td>merged" in await site.look(place)


async def test_no_page_hides_a_route_of_an_api(tmp_path: Path) -> None:
    """Every address that a page has is one that the stand-in of the host has no route for."""
    kernel = Kernel(tmp_path, {"azurite-blob": "https://127.0.0.1:1", "azurite-table": "https://127.0.0.1:1"})
    directory = Directory(vendor for vendor in _stand_ins(kernel) if vendor.name != "pages")
    addresses = [*ABSENT, f"{GITHUB}/contoso/repos", f"{GITHUB}/orgs/contoso/projects/1"]
    for url in addresses:
        place = urlsplit(url)
        assert pages.takes(make_mocked_request("GET", f"{place.path}?{place.query}", BROWSER | {"Host": place.netloc}))
        vendor = directory.find(place.netloc, place.path)
        if vendor is not None:
            application = web.Application()
            application.add_routes(vendor.routes)
            found = await application.router.resolve(make_mocked_request("GET", place.path))
            assert found.http_exception is not None, url
    kernel.close()
