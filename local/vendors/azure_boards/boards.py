"""Teams, areas, settings and the board of each team.

https://learn.microsoft.com/rest/api/azure/devops/core/teams
https://learn.microsoft.com/rest/api/azure/devops/wit/classification-nodes
https://learn.microsoft.com/rest/api/azure/devops/work/columns
"""

from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from aiohttp import web

from local.vendors.kernel import Kernel

from .api import AGILE, ORGANIZATION, PROJECT, Json, content, demand

BOARD, STORY = "Stories", "User Story"
ROOT_ID = {"Areas": 1, "Iterations": 2}


def node(number: int, name: str = PROJECT) -> Json:
    return {"id": number, "identifier": str(uuid5(NAMESPACE_URL, f"{number}")), "name": name, "hasChildren": False}


class Boards:
    """What the project holds, except work items."""

    def __init__(self, kernel: Kernel) -> None:
        self.store = kernel.store("azure_boards")

    def next_id(self) -> int:
        number: int = (self.store.get("number") or 100) + 1
        self.store.put("number", number)
        return number

    def teams(self) -> list[Json]:
        return [team for _, team in self.store.list("team/")]

    def team(self, request: web.Request) -> Json:
        """The team in the path, by id or by name in any case. Raises Refused."""
        wanted = request.match_info["team"]
        found = next((team for team in self.teams() if wanted.lower() in (team["id"], team["name"].lower())), None)
        return demand(found, "TEAM", wanted)

    def save(self, team: Json, **changes: Any) -> None:
        self.store.put(f"team/{team['id']}", team | changes)

    async def create_team(self, request: web.Request) -> web.Response:
        """A team made over the API has no area, no iteration and therefore no board that can be used."""
        body = await content(request)
        name = str(body.get("name") or "").strip()
        demand(name.lower() not in {team["name"].lower() for team in self.teams()}, "TAKEN", name)
        team = {"id": str(uuid4()), "name": name, "description": body.get("description", ""), "board": uuid4().hex}
        self.save(team, area=None, iteration=None, bugs="asRequirements", columns=_with_ids(AGILE["columns"]))
        return web.json_response(_shown(team), status=201)

    async def read_team(self, request: web.Request) -> web.Response:
        return web.json_response(_shown(self.team(request)))

    async def update_team(self, request: web.Request) -> web.Response:
        self.save(self.team(request), description=(await content(request))["description"])
        return await self.read_team(request)

    async def delete_team(self, request: web.Request) -> web.Response:
        self.store.delete(f"team/{self.team(request)['id']}")
        return web.Response(status=204)

    async def create_area(self, request: web.Request) -> web.Response:
        name = str((await content(request)).get("name") or "")
        demand(request.match_info["group"] == "Areas", "UNKNOWN", "new iterations")
        demand(name and not set(name) & set('\\/:*?"<>|;#$&+'), "TF200011", name)
        area = node(self.next_id(), name)
        demand(self.store.insert(f"Areas/{name.lower()}", area), "VS402371", name)
        return web.json_response(area, status=201)

    def node(self, request: web.Request) -> Json:
        """The area in the path, or the root of areas or iterations. Raises Refused 404."""
        group, name = request.match_info["group"], request.match_info.get("name", "")
        found: Json | None = self.store.get(f"{group}/{name.lower()}") if name else node(ROOT_ID[group])
        return demand(found, "VS402485", name)

    async def read_node(self, request: web.Request) -> web.Response:
        return web.json_response(self.node(request))

    def has_area(self, path: str) -> bool:
        project, _, name = path.partition("\\")
        return project == PROJECT and (not name or self.store.get(f"Areas/{name.lower()}") is not None)

    async def set_field_values(self, request: web.Request) -> web.Response:
        team, body = self.team(request), await content(request)
        demand(all(map(self.has_area, (body["defaultValue"], *(each["value"] for each in body["values"])))), "TF400508")
        self.save(team, area=body["defaultValue"])
        return web.json_response({"field": {"referenceName": "System.AreaPath"}} | body)

    async def set_settings(self, request: web.Request) -> web.Response:
        team, body = self.team(request), await content(request)
        demand(team["area"], "TF400499")
        demand(body["backlogIteration"] == node(ROOT_ID["Iterations"])["identifier"], "TF400497")
        self.save(team, iteration=body["backlogIteration"], bugs=body["bugsBehavior"])
        return web.json_response(body | {"backlogIteration": {"id": body["backlogIteration"]}})

    def board(self, request: web.Request) -> Json:
        """The team of the board in the path. Raises Refused."""
        team, name = self.team(request), request.match_info["board"]
        demand(team["area"] and team["iteration"], "TF400499")
        demand(name in (BOARD, team["board"]), "BOARD", name)
        return team

    async def read_board(self, request: web.Request) -> web.Response:
        team = self.board(request)
        fields = {"columnField": {"referenceName": column_field(team)}}
        return web.json_response({"id": team["board"], "name": BOARD, "columns": team["columns"], "fields": fields})

    async def set_columns(self, request: web.Request) -> web.Response:
        """The given columns replace all; the first and the last one stay themselves."""
        team, wanted = self.board(request), await content(request)
        kept = all(wanted[end].get("id") == team["columns"][end]["id"] for end in (0, -1))
        kinds = ["incoming", *["inProgress"] * (len(wanted) - 2), "outgoing"]
        demand(kept and [column["columnType"] for column in wanted] == kinds, "COLUMNS", "first and last stay")
        types = {STORY, "Bug"} if team["bugs"] == "asRequirements" else {STORY}
        for column in wanted:
            states = column["stateMappings"]
            fitting = set(states.values()) <= set(AGILE["states"][column["columnType"]])
            demand(fitting and set(states) == types, "COLUMNS", f"states of {column['name']}")
        self.save(team, columns=_with_ids(wanted))
        return web.json_response({"count": len(wanted), "value": self.board(request)["columns"]})


def _with_ids(columns: list[Json]) -> list[Json]:
    return [{"id": str(uuid4())} | column for column in columns]


def column_field(team: Json) -> str:
    """The board's own field of a work item."""
    return f"WEF_{team['board'].upper()}_Kanban.Column"


def _shown(team: Json) -> dict[str, Any]:
    place = f"https://dev.azure.com/{ORGANIZATION}/_apis/projects/{PROJECT}/teams/{team['id']}"
    return {name: team[name] for name in ("id", "name", "description")} | {"url": place, "projectName": PROJECT}
