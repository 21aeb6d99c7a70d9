"""Azure Boards: a team per application in one project, with an area of its own, its board, and work items.

Documentation: https://learn.microsoft.com/rest/api/azure/devops/
"""

import html
from itertools import batched
from typing import Any
from urllib.parse import quote

from shared.boards import Board, BoardSpec, Item, in_use, mark, marked, owner_of
from shared.clients._azure_devops import ask, read, setting, vendor
from shared.clients._http import Call
from shared.errors import ConflictError, PermanentIntegrationError, VendorCall
from shared.guard import Permit
from shared.models import Model

_PATCH = {"Content-Type": "application/json-patch+json"}
_OK, _ABSENT, _TAKEN = 200, 404, 409
_AT_ONCE = 200  # work items that one call reads


class _Team(Model):
    id: str
    name: str
    description: str = ""


class _Node(Model):
    id: int
    identifier: str


class _AreaValue(Model):
    value: str


class _TeamField(Model):
    default_value: str
    values: list[_AreaValue]


class _TeamSettings(Model):
    bugs_behavior: str


class _Column(Model):
    id: str
    name: str
    column_type: str


class _Columns(Model):
    value: list[_Column]


class _Reference(Model):
    reference_name: str


class _Fields(Model):
    column_field: _Reference


class _Board(Model):
    fields: _Fields
    columns: list[_Column]


class _Hit(Model):
    id: int


class _Hits(Model):
    work_items: list[_Hit]


class _Relation(Model):
    rel: str
    attributes: dict[str, Any] = {}


class _WorkItem(Model):
    id: int
    rev: int
    fields: dict[str, Any]
    relations: list[_Relation] = []


class _WorkItems(Model):
    value: list[_WorkItem]


def configured() -> bool:
    """Whether Azure Boards keeps the boards."""
    return in_use("azure_boards")


def _project(*rest: str) -> str:
    return "/" + "/".join(quote(part, safe="$") for part in (setting("project"), *rest))


def _work(board: Board, *rest: str) -> str:
    return _project(board.id, "_apis", "work", *rest)


def _teams(*rest: str) -> str:
    return "/_apis/projects" + _project("teams", *rest)


def _nodes(*rest: str) -> str:
    return _project("_apis", "wit", "classificationnodes", *rest)


def _items(rest: str) -> str:
    return _project("_apis", "wit", "workitems", rest)


def _area(board: Board) -> str:
    """Name of the board's area: it carries the request id, because an area has no place for a mark."""
    return f"{board.title}-{board.request_id}"


def _area_path(board: Board) -> str:
    return f"{setting('project')}\\{_area(board)}"


def _of(team: _Team) -> Board:
    organization, project, board = map(quote, map(setting, ("organization", "project", "board")))
    url = f"https://dev.azure.com/{organization}/{project}/_boards/board/t/{quote(team.name)}/{board}"
    owner = owner_of(team.description)
    return Board(id=team.id, title=team.name, url=url, request_id=owner, about=team.description)


async def find(spec: BoardSpec) -> list[Board]:
    """The team of this name, if there is one: names are unique in a project."""
    call = Call("read team", "GET", _teams(spec.title), expect=(_OK, _ABSENT))
    answer = await ask(call)
    return [] if answer.status == _ABSENT else [_of(vendor().shaped(call, answer, _Team))]


async def create(spec: BoardSpec) -> Board:
    """Create a team whose description carries the mark, or return what somebody created a moment earlier.

    Documentation: https://learn.microsoft.com/rest/api/azure/devops/core/teams/create
    """
    body = {"name": spec.title, "description": f"Made by the App Store, {mark(spec.request_id)}"}
    try:
        return _of(await read(Call("create team", "POST", _teams(), body, expect=(_OK, 201)), _Team))
    except PermanentIntegrationError:
        found = await find(spec)
        if not found:
            raise
        return found[0]


async def configure(board: Board, spec: BoardSpec) -> Board:
    """Give the team an area, a backlog iteration, and a board without bugs: a team made over the API has none of these.

    Documentation: https://learn.microsoft.com/rest/api/azure/devops/work/teamsettings/update
    """
    del spec  # everything follows from the team
    create_area = Call("create area", "POST", _nodes("Areas"), {"name": _area(board)}, expect=(_OK, 201, _TAKEN))
    answer = await ask(create_area)
    if answer.status != _TAKEN:
        vendor().shaped(create_area, answer, _Node)
    path = _area_path(board)
    field = {"defaultValue": path, "values": [{"value": path, "includeChildren": True}]}
    call = Call("set area of team", "PATCH", _work(board, "teamsettings", "teamfieldvalues"), field)
    if (await read(call, _TeamField)).default_value != path:
        raise ConflictError(VendorCall("azure_boards", call.operation, _OK), f"the team has not taken the area {path}")
    root = await read(Call("read iterations", "GET", _nodes("Iterations")), _Node)
    settings = {"backlogIteration": root.identifier, "bugsBehavior": "asTasks"}
    await read(Call("set team settings", "PATCH", _work(board, "teamsettings"), settings), _TeamSettings)
    return board


async def link_repository(board: Board, spec: BoardSpec) -> None:
    """Name the repository in the team's description; each work item has a link of its own.

    Documentation: https://learn.microsoft.com/rest/api/azure/devops/core/teams/update
    """
    if board.about != spec.about:
        await read(Call("update team", "PATCH", _teams(board.id), {"description": spec.about}), _Team)


async def _read_board(board: Board) -> _Board:
    return await read(Call("read board", "GET", _work(board, "boards", setting("board"))), _Board)


async def set_columns(board: Board, columns: list[str]) -> None:
    """Replace the columns: the first and the last one keep their ids, which a board cannot be without.

    Documentation: https://learn.microsoft.com/rest/api/azure/devops/work/columns/update
    """
    there = (await _read_board(board)).columns
    if [column.name for column in there] == columns:
        return
    first, *between, last = there
    reused = [first.id, *(column.id for column in between)][: len(columns) - 1]
    ids: list[str | None] = [*reused, *[None] * (len(columns) - 1 - len(reused)), last.id]
    wanted = [
        _column(identifier, name, place, len(columns) - 1)
        for place, (identifier, name) in enumerate(zip(ids, columns, strict=True))
    ]
    call = Call("set columns", "PUT", _work(board, "boards", setting("board"), "columns"), wanted)
    kept = [column.name for column in (await read(call, _Columns)).value]
    if kept != columns:
        place = VendorCall("azure_boards", call.operation, _OK)
        raise ConflictError(place, f"the board kept the columns {', '.join(kept)}")


def _column(identifier: str | None, name: str, place: int, last: int) -> dict[str, Any]:
    kind, state = ("inProgress", "middle_state")
    if place in (0, last):
        kind, state = ("outgoing", "last_state") if place else ("incoming", "first_state")
    mappings = {setting("work_item_type"): setting(state)}
    column = {"name": name, "columnType": kind, "stateMappings": mappings, "itemLimit": 0}
    return column | ({"id": identifier} if identifier else {})


async def list_items(board: Board) -> list[Item]:
    """The work items of the area that carry a mark; a first revision is one that nobody has touched.

    Documentation: https://learn.microsoft.com/rest/api/azure/devops/wit/wiql/query-by-wiql
    """
    area = _area_path(board).replace("'", "''")
    query = f"SELECT [System.Id] FROM WorkItems WHERE [System.AreaPath] UNDER '{area}' ORDER BY [System.Id]"  # noqa: S608 - WIQL
    call = Call("query work items", "POST", _project(board.id, "_apis", "wit", "wiql"), {"query": query})
    ids = [str(hit.id) for hit in (await read(call, _Hits)).work_items]
    found: list[_WorkItem] = []
    for group in batched(ids, _AT_ONCE, strict=False):
        params = {"ids": ",".join(group), "$expand": "relations"}
        listing = Call("read work items", "GET", _project("_apis", "wit", "workitems"), params=params)
        found += (await read(listing, _WorkItems)).value
    return [item for each in found if (item := _item(each))]


def _item(found: _WorkItem) -> Item | None:
    comments = [str(relation.attributes.get("comment", "")) for relation in found.relations]
    known = next((mark for mark in map(marked, comments) if mark), None)
    if not known:
        return None
    column = found.fields.get("System.BoardColumn") if found.rev > 1 else None
    title = str(found.fields.get("System.Title", ""))
    return Item(id=str(found.id), request_id=known[0], key=known[1], title=title, column=column)


async def add_items(board: Board, items: list[Item]) -> None:
    """Create work items in the area, each with a hyperlink to the repository whose comment is the mark.

    Documentation: https://learn.microsoft.com/rest/api/azure/devops/wit/work-items/create
    """
    for item in items:
        link = {"rel": "Hyperlink", "url": item.link, "attributes": {"comment": item.mark}}
        fields = {
            "System.Title": item.title,
            "System.Description": html.escape(item.body),
            "System.AreaPath": _area_path(board),
        }
        patch: list[dict[str, Any]] = [
            {"op": "add", "path": f"/fields/{name}", "value": value} for name, value in fields.items()
        ]
        patch.append({"op": "add", "path": "/relations/-", "value": link})
        path = _items(f"${setting('work_item_type')}")
        await read(Call("create work item", "POST", path, patch, headers=_PATCH), _WorkItem)


async def place_items(board: Board, items: list[Item]) -> None:
    """Put work items into their columns by the board's own field; a column that is gone is left out.

    Documentation: https://learn.microsoft.com/rest/api/azure/devops/wit/work-items/update
    """
    shown = await _read_board(board)
    columns = {column.name for column in shown.columns}
    for item in items:
        if item.column in columns:
            field = f"/fields/{shown.fields.column_field.reference_name}"
            patch = [{"op": "add", "path": field, "value": item.column}]
            await read(Call("move work item", "PATCH", _items(item.id), patch, headers=_PATCH), _WorkItem)


async def remove_item(board: Board, item: Item, permit: Permit) -> None:
    """Delete a work item for good; absent is success.

    Documentation: https://learn.microsoft.com/rest/api/azure/devops/wit/work-items/delete
    """
    del board  # ids are unique in the organization
    params = {"destroy": "true"}
    operation = f"delete {permit.action.kind}"
    await ask(Call(operation, "DELETE", _items(item.id), params=params, expect=(204, _ABSENT)))


async def delete(board: Board, permit: Permit) -> None:
    """Delete our work items, the area and at last the team; items of others move to the project's root area.

    Documentation: https://learn.microsoft.com/rest/api/azure/devops/wit/classification-nodes/delete
    """
    operation = f"delete {permit.action.kind}"
    call = Call("read area", "GET", _nodes("Areas", _area(board)), expect=(_OK, _ABSENT))
    area = await ask(call)
    if area.status != _ABSENT:
        vendor().shaped(call, area, _Node)
        for item in await list_items(board):
            if item.request_id == permit.action.owner:
                await remove_item(board, item, permit)
        root = await read(Call("read areas", "GET", _nodes("Areas")), _Node)
        params = {"$reclassifyId": str(root.id)}
        await ask(Call(operation, "DELETE", _nodes("Areas", _area(board)), params=params, expect=(204, _ABSENT)))
    await ask(Call(operation, "DELETE", _teams(board.id), expect=(204, _ABSENT)))
