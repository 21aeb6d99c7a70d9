"""The Azure Boards stand-in behaves like an organization: over HTTPS, through the proxy, with a token of Entra ID."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.vendors import azure_boards, entra
from local.vendors.kernel import Kernel

RESOURCE = "499b84ac-1321-427f-aa17-267ca6975798"
TEAMS = "/_apis/projects/Applications/teams"
AREAS = "/Applications/_apis/wit/classificationnodes/Areas"
ITEMS = "/Applications/_apis/wit/workitems"
PATCH = "application/json-patch+json"
UNDER = "SELECT [System.Id] FROM WorkItems WHERE [System.AreaPath] UNDER '{}' ORDER BY [System.Id]"


class Client(httpx.AsyncClient):
    kernel: Kernel

    async def sign_in(self, resource: str = RESOURCE) -> None:
        """With a token of the managed identity endpoint."""
        query = {"resource": resource, "api-version": "2019-08-01"}
        async with httpx.AsyncClient(trust_env=False, headers={"X-IDENTITY-HEADER": "local"}) as machine:
            answer = await machine.get(f"{self.kernel.proxy_url}/msi/token", params=query)
        self.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    async def ask(self, method: str, path: str, body: object = None, status: int = 200, **params: str) -> Any:
        kind = PATCH if ITEMS in path else "application/json"
        headers = {"Content-Type": kind} if body is not None else {}
        query = {"api-version": "7.1"} | params
        answer = await self.request(method, f"/contoso{path}", json=body, params=query, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def team(self, name: str = "shop-api", area: str = "shop") -> Any:
        """A team that has everything that its board needs."""
        team = await self.ask("POST", TEAMS, {"name": name}, 201)
        await self.ask("POST", AREAS, {"name": area}, 201)
        path = f"Applications\\{area}"
        values = {"defaultValue": path, "values": [{"value": path, "includeChildren": True}]}
        await self.ask("PATCH", f"/Applications/{team['id']}/_apis/work/teamsettings/teamfieldvalues", values)
        root = (await self.ask("GET", AREAS.replace("Areas", "Iterations")))["identifier"]
        settings = {"backlogIteration": root, "bugsBehavior": "asTasks"}
        await self.ask("PATCH", f"/Applications/{team['id']}/_apis/work/teamsettings", settings)
        return team

    async def columns(self, team: Any, *names: str) -> list[Any]:
        """The columns with other names; new ones between the first and the last."""
        first, *_, last = (await self.ask("GET", board(team)))["columns"]
        middle = [_column(name, "inProgress", "Active") for name in names[1:-1]]
        wanted = [first | {"name": names[0]}, *middle, last | {"name": names[-1]}]
        return list((await self.ask("PUT", f"{board(team)}/columns", wanted))["value"])

    async def item(self, title: str, area: str = "shop", status: int = 200) -> Any:
        fields = {"System.Title": title, "System.AreaPath": f"Applications\\{area}"}
        return await self.ask("POST", f"{ITEMS}/$User Story", patch(**fields), status)

    async def under(self, area: str) -> list[int]:
        query = UNDER.format(area)
        found = await self.ask("POST", "/Applications/any/_apis/wit/wiql", {"query": query})
        return [hit["id"] for hit in found["workItems"]]


def _column(name: str, kind: str, state: str) -> dict[str, Any]:
    return {"name": name, "columnType": kind, "stateMappings": {"User Story": state}, "itemLimit": 0}


def board(team: Any) -> str:
    return f"/Applications/{team['id']}/_apis/work/boards/Stories"


def patch(**fields: Any) -> list[dict[str, Any]]:
    return [{"op": "add", "path": f"/fields/{name}", "value": value} for name, value in fields.items()]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    kernel = Kernel(tmp_path)
    await kernel.start([entra.build(kernel), azure_boards.build(kernel)])
    trust = ssl.create_default_context(cafile=str(kernel.ca_bundle))
    async with Client(base_url="https://dev.azure.com", proxy=kernel.proxy_url, verify=trust) as http:
        http.kernel = kernel
        await http.sign_in()
        yield http
    await kernel.stop()


async def test_who_may_not_call_is_shown_a_page_to_sign_in_with_or_refused(client: Client) -> None:
    client.headers["Authorization"] = "Bearer made-up"
    answer = await client.get(f"/contoso{TEAMS}/shop-api")
    assert (answer.status_code, answer.headers["content-type"]) == (203, "text/html; charset=utf-8")
    del client.headers["Authorization"]
    assert (await client.get(f"/contoso{TEAMS}/shop-api")).headers["Location"].endswith("/_signin")
    await client.sign_in("https://management.azure.com")
    assert "TF400813" in (await client.ask("GET", f"{TEAMS}/shop-api", status=401))["message"]


async def test_a_change_needs_a_version_and_the_right_content_type(client: Client) -> None:
    url = f"/contoso{TEAMS}"
    assert "api-version" in (await client.post(url, json={"name": "a"})).json()["message"]
    assert (await client.post(url, json={"name": "a"}, params={"api-version": "5.0"})).status_code == 501
    assert (await client.get(f"{url}/a")).status_code == 404
    answer = await client.post(f"/contoso{ITEMS}/$User Story", json=[], params={"api-version": "7.1"})
    assert answer.status_code == 415
    assert (await client.post(url, content="{", headers={"Content-Type": "application/json"})).status_code == 400
    for path in ("/fabrikam/_apis/projects/Applications/teams/a", "/contoso/_apis/projects/Other/teams/a"):
        assert (await client.get(path, params={"api-version": "7.1"})).status_code == 404
    assert (await client.get("/contoso/_apis/projects")).status_code == 501


async def test_a_team_is_created_once_and_found_by_name_or_id(client: Client) -> None:
    made = await client.ask("POST", TEAMS, {"name": "Shop-API", "description": "one"}, 201)
    await client.ask("POST", TEAMS, {"name": "shop-api"}, 409)
    for key in ("shop-api", made["id"]):
        assert await client.ask("GET", f"{TEAMS}/{key}") == made
    changed = await client.ask("PATCH", f"{TEAMS}/{made['id']}", {"description": "two"})
    assert (changed["name"], changed["description"]) == ("Shop-API", "two")
    await client.ask("DELETE", f"{TEAMS}/{made['id']}", status=204)
    for method in ("GET", "DELETE"):
        await client.ask(method, f"{TEAMS}/{made['id']}", status=404)


async def test_a_team_has_no_board_before_it_has_area_and_iteration(client: Client) -> None:
    made = await client.ask("POST", TEAMS, {"name": "shop-api"}, 201)
    settings = f"/Applications/{made['id']}/_apis/work/teamsettings"
    iteration = {"backlogIteration": "none", "bugsBehavior": "asTasks"}
    for method, path, body in (("GET", board(made), None), ("PATCH", settings, iteration)):
        assert "TF400499" in (await client.ask(method, path, body, 400))["message"]
    values = {"defaultValue": "Applications\\shop", "values": []}
    assert "TF400508" in (await client.ask("PATCH", f"{settings}/teamfieldvalues", values, 400))["message"]
    await client.ask("POST", AREAS, {"name": "shop"}, 201)
    await client.ask("POST", AREAS, {"name": "Shop"}, 409)
    await client.ask("POST", AREAS, {"name": "a/b"}, 400)
    await client.ask("PATCH", f"{settings}/teamfieldvalues", values)
    assert "TF400497" in (await client.ask("PATCH", settings, iteration, 400))["message"]
    assert "TF400499" in (await client.ask("GET", board(made), status=400))["message"]


async def test_columns_are_replaced_and_the_ends_stay(client: Client) -> None:
    team = await client.team()
    before = (await client.ask("GET", board(team)))["columns"]
    assert [column["name"] for column in before] == ["New", "Active", "Resolved", "Closed"]
    after = await client.columns(team, "Backlog", "Ready", "Doing", "Done")
    assert [column["name"] for column in after] == ["Backlog", "Ready", "Doing", "Done"]
    assert (after[0]["id"], after[-1]["id"]) == (before[0]["id"], before[-1]["id"])
    first, last = after[0], after[-1]
    wrong: list[list[dict[str, Any]]] = [
        [_column("Backlog", "incoming", "New"), last],
        [last, first],
        [first | {"stateMappings": {"User Story": "Closed"}}, last],
        [first | {"stateMappings": {"User Story": "New", "Bug": "New"}}, last],
    ]
    for columns in wrong:
        await client.ask("PUT", f"{board(team)}/columns", columns, 400)
    await client.ask("GET", board(team).replace("Stories", "Epics"), status=404)


async def test_a_work_item_lies_in_the_column_of_its_state_until_it_is_moved(client: Client) -> None:
    team = await client.team()
    await client.columns(team, "Backlog", "Ready", "Doing", "Done")
    made = await client.item("First")
    assert (made["rev"], made["fields"]["System.BoardColumn"]) == (1, "Backlog")
    column = (await client.ask("GET", board(team)))["fields"]["columnField"]["referenceName"]
    moved = await client.ask("PATCH", f"{ITEMS}/{made['id']}", patch(**{column: "Doing"}))
    assert (moved["rev"], moved["fields"]["System.BoardColumn"]) == (2, "Doing")
    assert moved["fields"]["System.State"] == "Active"
    for field, value, code in (
        ("System.BoardColumn", "Done", "TF401326"),
        (column, "None", "TF401320"),
        ("WEF_OTHER_Kanban.Column", "Done", "TF51535"),
        ("System.AreaPath", "Applications\\none", "TF401347"),
    ):
        refused = await client.ask("PATCH", f"{ITEMS}/{made['id']}", patch(**{field: value}), 400)
        assert code in refused["message"]
    await client.ask("PATCH", f"{ITEMS}/{made['id']}", [{"op": "remove", "path": "/fields/System.Title"}], 501)
    assert "TF401320" in (await client.item(" ", status=400))["message"]
    await client.ask("POST", f"{ITEMS}/$Epic", patch(**{"System.Title": "a"}), 404)


async def test_items_are_queried_read_together_and_deleted_for_good(client: Client) -> None:
    await client.team()
    link = {"rel": "Hyperlink", "url": "https://example.com", "attributes": {"comment": "mark"}}
    made = [(await client.item(title))["id"] for title in ("One", "Two")]
    linked = [{"op": "add", "path": "/relations/-", "value": link}]
    await client.ask("PATCH", f"{ITEMS}/{made[0]}", linked)
    assert await client.under("Applications\\shop") == made
    params = {"ids": ",".join(map(str, made)), "$expand": "relations"}
    read = (await client.ask("GET", ITEMS, None, 200, **params))["value"]
    assert [item["relations"] for item in read] == [[link], []]
    await client.ask("DELETE", f"{ITEMS}/{made[0]}", status=501)  # there is no recycle bin
    await client.ask("DELETE", f"{ITEMS}/{made[0]}", status=204, destroy="true")
    await client.ask("DELETE", f"{ITEMS}/{made[0]}", status=404, destroy="true")
    assert "TF401232" in (await client.ask("GET", ITEMS, None, 404, **params))["message"]
    query = {"query": "SELECT [System.Id] FROM WorkItems"}
    await client.ask("POST", "/Applications/any/_apis/wit/wiql", query, 501)
    query = {"query": UNDER.format("Applications\\x")}
    assert "TF51011" in (await client.ask("POST", "/Applications/any/_apis/wit/wiql", query, 400))["message"]


async def test_what_lies_in_a_deleted_area_goes_to_the_one_that_is_named(client: Client) -> None:
    await client.team()
    kept = (await client.item("Kept"))["id"]
    root = await client.ask("GET", AREAS)
    await client.ask("DELETE", f"{AREAS}/shop", None, 501, **{"$reclassifyId": "9"})
    await client.ask("DELETE", f"{AREAS}/shop", None, 204, **{"$reclassifyId": str(root["id"])})
    await client.ask("GET", f"{AREAS}/shop", status=404)
    assert await client.under("Applications") == [kept]
