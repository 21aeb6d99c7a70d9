"""GitHub Projects: a project per application, its Status field as columns, draft issues as first work items.

Documentation: https://docs.github.com/issues/planning-and-tracking-with-projects/automating-your-project
"""

from itertools import batched
from typing import Any

from shared.boards import Board, BoardSpec, Item, in_use, mark, marked, owner_of
from shared.clients import _github_projects as documents
from shared.clients._github import GITHUB
from shared.clients._graphql import ask
from shared.clients._http import Vendor
from shared.guard import Permit

_API = Vendor("github_projects", GITHUB.base_url, GITHUB.authorise)
_TOGETHER = 10  # mutations in one document: GitHub ends one that takes longer than ten seconds


def configured() -> bool:
    """Whether GitHub keeps the boards."""
    return in_use("github_projects")


async def _ask[T](
    operation: str, document: str, variables: dict[str, Any], shape: type[T], missing: tuple[str, ...] = ()
) -> T:
    return await ask(_API, operation, {"query": document, "variables": variables}, shape, missing)


def _provisional(spec: BoardSpec) -> str:
    """Title of a project until it is described: createProjectV2 takes nothing else that could carry the mark."""
    return f"{spec.title} ({mark(spec.request_id)})"


def _board(project: documents.Project) -> Board:
    about = project.short_description or ""
    return Board(
        id=project.id,
        title=project.title,
        url=project.url,
        request_id=owner_of(about, project.title),
        about=about,
        repositories=[repository.name_with_owner for repository in project.repositories.nodes],
    )


def _place(spec: BoardSpec) -> dict[str, Any]:
    owner, _, name = spec.repository.partition("/")
    return {"owner": owner, "name": name}


async def find(spec: BoardSpec) -> list[Board]:
    """Projects of the organisation with the mark or the title, those of the lowest number first.

    The organisation's list is a search and may lag; what we made is linked to the repository and found there.
    """
    variables: dict[str, Any] = _place(spec) | {"title": spec.title, "after": None}
    projects: dict[str, documents.Project] = {}
    while True:
        found = await _ask("find projects", documents.FIND, variables, documents.Found, missing=("repository",))
        listed = found.organization.projects_v2
        linked = found.repository.projects_v2.nodes if found.repository else []
        projects |= {project.id: project for project in (*listed.nodes, *linked)}
        if not listed.page_info.has_next_page:
            break
        variables["after"] = listed.page_info.end_cursor
    boards = map(_board, sorted(projects.values(), key=lambda project: project.number))
    return [board for board in boards if spec.request_id == board.request_id or board.title == spec.title]


async def create(spec: BoardSpec) -> Board:
    """Create a project, linked to the repository, with the mark in its title until it is described.

    Documentation: https://docs.github.com/graphql/reference/mutations#createprojectv2
    """
    owner = await _ask("find owner", documents.OWNER, _place(spec), documents.Owner)
    variables = {"owner": owner.organization.id, "repository": owner.repository.id, "title": _provisional(spec)}
    made = await _ask("create project", documents.CREATE, variables, documents.Result[documents.Changed])
    return _board(made.result.project_v2)


async def configure(board: Board, spec: BoardSpec) -> Board:
    """Move the mark from the title into the description, in one update.

    Documentation: https://docs.github.com/graphql/reference/mutations#updateprojectv2
    """
    if (board.title, board.about) == (spec.title, spec.about):
        return board
    readme = f"# {spec.title}\n\n{spec.about}\n"
    variables = {"board": board.id, "title": spec.title, "about": spec.about, "readme": readme}
    described = await _ask("update project", documents.DESCRIBE, variables, documents.Result[documents.Changed])
    return _board(described.result.project_v2)


async def link_repository(board: Board, spec: BoardSpec) -> None:
    """Link the repository again if somebody took the link away.

    Documentation: https://docs.github.com/graphql/reference/mutations#linkprojectv2torepository
    """
    if spec.repository in board.repositories:
        return
    owner = await _ask("find owner", documents.OWNER, _place(spec), documents.Owner)
    variables = {"board": board.id, "repository": owner.repository.id}
    await _ask("link repository", documents.LINK, variables, documents.Result[documents.Linking])


async def _status(board: Board) -> documents.Status:
    columns = await _ask("read columns", documents.COLUMNS, {"board": board.id}, documents.Node[documents.Columns])
    return columns.node.field


async def set_columns(board: Board, columns: list[str]) -> None:
    """Replace the options of the Status field; GitHub gives them new ids, so that items lose theirs.

    Documentation: https://docs.github.com/graphql/reference/mutations#updateprojectv2field
    """
    field = await _status(board)
    if [option.name for option in field.options] == columns:
        return
    colours = [documents.COLOURS[place % len(documents.COLOURS)] for place in range(len(columns) - 1)]
    pairs = zip(columns, [*colours, "GREEN"], strict=True)
    options = [{"name": name, "color": colour, "description": ""} for name, colour in pairs]
    await _ask(
        "set columns",
        documents.SET_COLUMNS,
        {"field": field.id, "options": options},
        documents.Result[documents.Replaced],
    )


async def list_items(board: Board) -> list[Item]:
    """Draft issues, or the issues they were converted to, that carry a mark."""
    found: list[documents.Item] = []
    variables: dict[str, Any] = {"board": board.id, "after": None}
    while True:
        listed = (await _ask("list items", documents.ITEMS, variables, documents.Node[documents.Listed])).node.items
        found += listed.nodes
        if not listed.page_info.has_next_page:
            break
        variables["after"] = listed.page_info.end_cursor
    found.sort(key=lambda item: item.created_at)
    return [item for each in found if (item := _item(each))]


def _item(found: documents.Item) -> Item | None:
    content = found.content or documents.Content()
    known = marked(content.body)
    column = found.field_value_by_name.name if found.field_value_by_name else None
    if not known:
        return None
    return Item(id=found.id, request_id=known[0], key=known[1], title=content.title, body=content.body, column=column)


async def add_items(board: Board, items: list[Item]) -> None:
    """Add draft issues, several in one document: each is done or refused by itself.

    Documentation: https://docs.github.com/graphql/reference/mutations#addprojectv2draftissue
    """
    for group in batched(items, _TOGETHER, strict=False):
        variables: dict[str, Any] = {"board": board.id}
        for number, item in enumerate(group):
            body = f"{item.body}\n\nRepository: {item.link}\n\n<!-- {item.mark} -->"
            variables |= {f"title{number}": item.title, f"body{number}": body}
        await _ask(
            "add draft issues", documents.several(*documents.ADD, len(group)), variables, dict[str, documents.Added]
        )


async def place_items(board: Board, items: list[Item]) -> None:
    """Set the Status of items; a column that the board does not have any more is left out.

    Documentation: https://docs.github.com/graphql/reference/mutations#updateprojectv2itemfieldvalue
    """
    field = await _status(board)
    options = {option.name: option.id for option in field.options}
    for group in batched([item for item in items if item.column in options], _TOGETHER, strict=False):
        variables: dict[str, Any] = {"board": board.id, "field": field.id}
        for number, item in enumerate(group):
            value = {"singleSelectOptionId": options[str(item.column)]}
            variables |= {f"item{number}": item.id, f"value{number}": value}
        await _ask(
            "set status", documents.several(*documents.PLACE, len(group)), variables, dict[str, documents.Placed]
        )


async def remove_item(board: Board, item: Item, permit: Permit) -> None:
    """Delete an item; absent is success."""
    variables = {"board": board.id, "item": item.id}
    operation = f"delete {permit.action.kind}"
    await _ask(operation, documents.REMOVE_ITEM, variables, dict[str, documents.Removed | None], missing=("result",))


async def delete(board: Board, permit: Permit) -> None:
    """Delete the project with its items; absent is success.

    Documentation: https://docs.github.com/graphql/reference/mutations#deleteprojectv2
    """
    operation = f"delete {permit.action.kind}"
    await _ask(
        operation, documents.DELETE, {"board": board.id}, dict[str, documents.Deleted | None], missing=("result",)
    )
