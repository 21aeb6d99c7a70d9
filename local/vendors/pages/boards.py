"""Boards of GitHub Projects and Azure Boards; folders and dashboards of Grafana."""

from typing import Any

from local.vendors.azure_boards.work_items import WorkItems
from local.vendors.github_projects.projects import Projects
from local.vendors.grafana.items import Items, address
from local.vendors.kernel import Kernel

from .sheet import Link, Rows, Sheet


async def project(kernel: Kernel, number: str) -> Sheet | None:
    """A project with its items below the options of the field Status."""
    projects = Projects(kernel)
    found = next((each for each in projects.all() if str(each["number"]) == number), None)
    if found is None:
        return None
    linked = [each for each in projects.repositories() if each["node_id"] in found["repositories"]]
    tables: dict[str, Rows] = {"Repositories": [[Link(each["full_name"], each["html_url"])] for each in linked]}
    for option in [*found["status"]["options"], {"id": None, "name": "No Status"}]:
        items = [item["content"] for item in found["items"] if item["option"] == option["id"]]
        tables[option["name"]] = [[item["title"], item["body"]] for item in items]
    facts = {"Description": found["shortDescription"], "By": found["creator"], "Created": found["createdAt"]}
    facts |= {"State": "closed" if found["closed"] else "open"}
    return Sheet("Project", found["title"], facts, found["readme"], tables)


async def stories(kernel: Kernel, name: str) -> Sheet | None:
    """The board of a team; without an area and an iteration it has none."""
    items = WorkItems(kernel)
    team = next((each for each in items.teams() if name.lower() in (each["id"], each["name"].lower())), None)
    if not team or not (team["area"] and team["iteration"]):
        return None
    tables: dict[str, list[list[object]]] = {column["name"]: [] for column in team["columns"]}
    for item in items.of_area(team["area"]):
        fields = items.look(item)["fields"]
        links = [Link(each["url"], each["url"]) for each in item["relations"] if each["rel"] == "Hyperlink"]
        tables.setdefault(fields["System.BoardColumn"], []).append([item["id"], fields["System.Title"], *links])
    return Sheet("Board", team["name"], {"Area": team["area"]}, team["description"], tables)


async def folder(kernel: Kernel, workspace: str, uid: str) -> Sheet | None:
    """A folder with its dashboards."""
    items = Items(kernel)
    if not (found := items.find(uid)) or not found["folder"]:
        return None
    rows = [[_link(workspace, item), _tags(item)] for item in items.all() if item["parent"] == uid]
    facts = {"uid": uid, "Version": found["version"], "Created": found["created"], "Updated": found["updated"]}
    return Sheet("Folder", found["title"], facts, tables={"Dashboards": rows})


async def dashboard(kernel: Kernel, workspace: str, uid: str) -> Sheet | None:
    """A dashboard with its panels; nothing is drawn."""
    items = Items(kernel)
    if not (found := items.find(uid)) or found["folder"]:
        return None
    parent = items.find(found["parent"])
    facts = {"Folder": _link(workspace, parent) if parent else "General", "uid": uid, "Tags": _tags(found)}
    facts |= {"Version": found["version"], "Updated": found["updated"]}
    rows = [[p.get("title", ""), p.get("type", "")] for p in found["model"].get("panels") or [] if isinstance(p, dict)]
    return Sheet("Dashboard", found["title"], facts, tables={"Panels": rows})


def _link(workspace: str, item: dict[str, Any]) -> Link:
    return Link(item["title"], f"https://{workspace}.grafana.azure.com{address(item)}")


def _tags(item: dict[str, Any]) -> str:
    return ", ".join(map(str, item["model"].get("tags") or []))
