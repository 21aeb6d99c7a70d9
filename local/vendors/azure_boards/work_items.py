"""Work items: JSON Patch, revisions, the column on the board of their area, and one kind of query.

https://learn.microsoft.com/rest/api/azure/devops/wit/work-items
https://learn.microsoft.com/azure/devops/boards/queries/wiql-syntax
"""

import re
from typing import Any

from aiohttp import web

from local.vendors.kernel import MUTATING

from .api import PROJECT, Json, content, demand
from .boards import STORY, Boards, column_field

PATCH = "application/json-patch+json"
QUERY = re.compile(r"SELECT \[System.Id\] FROM WorkItems WHERE \[System.AreaPath\] UNDER '(.+)' ORDER BY \[System.Id\]")


class WorkItems(Boards):
    """The boards, and the items that lie in their areas."""

    def _find(self, number: str) -> Json:
        """Raises Refused 404."""
        found: Json | None = self.store.get(f"item/{number.zfill(9)}")
        return demand(found, "TF401232", number)

    def of_area(self, area: str) -> list[Json]:
        return [item for _, item in self.store.list("item/") if item["fields"]["System.AreaPath"] == area]

    def _keep(self, item: Json) -> web.Response:
        item["rev"] += 1
        self.store.put(f"item/{item['id']:09}", item)
        return web.json_response(self.look(item))

    def _team(self, item: Json) -> Json | None:
        return next((team for team in self.teams() if team["area"] == item["fields"]["System.AreaPath"]), None)

    def look(self, item: Json) -> Json:
        """With the column that its board shows it in: that of the board's own field, else the first of its state."""
        team, fields = self._team(item), dict(item["fields"])
        if team:
            fitting = [name for name, state in _states(team).items() if state == fields["System.State"]]
            own = fields.get(column_field(team))
            fields["System.BoardColumn"] = own if own in fitting else fitting[0]
        return {"id": item["id"], "rev": item["rev"], "fields": fields, "relations": item["relations"]}

    async def create(self, request: web.Request) -> web.Response:
        demand(request.match_info["type"] == STORY, "VS402323", request.match_info["type"])
        fields = {"System.AreaPath": PROJECT, "System.State": "New", "System.WorkItemType": STORY}
        item: Json = {"id": 0, "rev": 0, "fields": fields | {"System.TeamProject": PROJECT}, "relations": []}
        self._patch(item, await content(request, PATCH))
        demand(str(item["fields"].get("System.Title") or "").strip(), "TF401320", "Title")
        return self._keep(item | {"id": self.next_id()})

    async def update(self, request: web.Request) -> web.Response:
        item = self._find(request.match_info["id"])
        self._patch(item, await content(request, PATCH))
        return self._keep(item)

    def _patch(self, item: Json, operations: list[Json]) -> None:
        for operation in operations:
            path, value = operation["path"], operation.get("value")
            demand(operation["op"] == "add" and re.match("/fields/|/relations/-$", path), "UNKNOWN", operation)
            if path == "/relations/-":
                item["relations"].append(value)
            else:
                self._set(item, path.removeprefix("/fields/"), value)

    def _set(self, item: Json, name: str, value: Any) -> None:
        demand(name != "System.BoardColumn", "TF401326", name)
        demand(name != "System.AreaPath" or self.has_area(value), "TF401347", name)
        if name.startswith("WEF_"):  # the board's own field: a column sets the state that it stands for
            team = demand(self._team(item), "TF51535", name)
            demand(name == column_field(team), "TF51535", name)
            item["fields"]["System.State"] = demand(_states(team).get(value), "TF401320", name)
        item["fields"][name] = value

    async def read(self, request: web.Request) -> web.Response:
        rows = [self.look(self._find(number)) for number in request.query.get("ids", "").split(",")]
        return web.json_response({"count": len(rows), "value": rows})

    async def query(self, request: web.Request) -> web.Response:
        request[MUTATING] = False
        query = QUERY.fullmatch(str((await content(request)).get("query")))
        area = demand(query, "UNKNOWN", "queries but for the items under an area")[1].replace("''", "'")
        demand(self.has_area(area), "TF51011", area)
        hits = [{"id": item["id"]} for item in self.of_area(area)]
        return web.json_response({"queryType": "flat", "workItems": hits})

    async def delete(self, request: web.Request) -> web.Response:
        demand(request.query.get("destroy") == "true", "UNKNOWN", "a recycle bin")
        self.store.delete(f"item/{self._find(request.match_info['id'])['id']:09}")
        return web.Response(status=204)

    async def delete_area(self, request: web.Request) -> web.Response:
        """Its items go to the area that the caller names; the stand-in knows the root only."""
        area = self.node(request)
        demand(request.query.get("$reclassifyId") == "1", "UNKNOWN", "another area than the root for what lies in it")
        for item in self.of_area(f"{PROJECT}\\{area['name']}"):
            item["fields"]["System.AreaPath"] = PROJECT
            self._keep(item)
        self.store.delete(f"Areas/{area['name'].lower()}")
        return web.Response(status=204)


def _states(team: Json) -> dict[str, str]:
    return {column["name"]: column["stateMappings"][STORY] for column in team["columns"]}
