"""The team's board: GitHub Projects or Azure Boards, whichever the request was taken in with."""

from collections.abc import Iterable
from itertools import groupby

from activities._activity import activity
from shared import archetypes, shields
from shared import plan as plans
from shared.board_clients import board_of
from shared.boards import Board, BoardClient, BoardSpec, Item
from shared.errors import ConflictError, NotFoundError, TransientIntegrationError, VendorCall
from shared.guard import Action, Facts, Permit, permit
from shared.models.plan import MadeObject
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Nothing
from shared.models.undo import Removed
from shared.register import requests


async def _chosen(data: ActivityInput) -> tuple[RequestRecord, str, BoardClient, BoardSpec]:
    """The request, the system that is pinned in it, its client, and the board that is wanted."""
    record = await requests.get(data.run.application, data.run.request_id)
    return record, *board_of(record)


def _made(system: str, place: int, name: str) -> list[MadeObject]:
    return [MadeObject(system=system, type=plans.RECORDS[system][place], name=name)]


def _permit(kind: str, target: str, request_id: str, owned_by: str | None) -> Permit:
    return permit(Action("undo", kind, target, request_id), Facts(owned_by=owned_by))


@activity
async def ensure_board(data: ActivityInput) -> Nothing:
    """Create the application's board and link it to the repository.

    Idempotency: it carries our request id from its first moment and is looked up by it, before and after creating; of
    two that were created at once the younger one is deleted; a board of the same title without our id is a conflict.
    """
    record, system, client, spec = await _chosen(data)
    ours = _ours(await client.find(spec), system, spec)
    if not ours:
        await client.create(spec)
        ours = _required(_ours(await client.find(spec), system, spec), system, spec)
    board, *younger = ours
    for duplicate in younger:
        await client.delete(duplicate, _permit("board", duplicate.url, record.id, duplicate.request_id))
    board = await client.configure(board, spec)
    await client.link_repository(board, spec)
    return Nothing(detail=board.title, link=board.url, made=_made(system, 0, record.application))


def _marked(found: Iterable[Board], spec: BoardSpec) -> list[Board]:
    return [board for board in found if board.request_id == spec.request_id]


def _ours(found: list[Board], system: str, spec: BoardSpec) -> list[Board]:
    """The boards that carry our request id. Raises ConflictError when there are only others."""
    ours = _marked(found, spec)
    if found and not ours:
        call = VendorCall(system, "create board", 200)
        raise ConflictError(call, f"{found[0].url} is called {spec.title} and was not made by this request")
    return ours


def _required(ours: list[Board], system: str, spec: BoardSpec) -> list[Board]:
    if not ours:
        raise NotFoundError(VendorCall(system, "find board", 200), f"no board carries the id {spec.request_id}")
    return ours


@activity
async def ensure_work_items(data: ActivityInput) -> Nothing:
    """Give the board the archetype's columns and first work items, each linked to the repository.

    Idempotency: an item carries request id and its own id, and is looked up by both, before and after adding; columns
    are set before the first item, so that a board with items keeps what people made of it.
    """
    record, system, client, spec = await _chosen(data)
    board = _required(_marked(await client.find(spec), spec), system, spec)[0]
    template = archetypes.board(record.body.archetype)
    wanted = _items(record, spec, template)
    there = _mine(await client.list_items(board), spec)
    if not there:
        await client.set_columns(board, template.columns)
    if missing := [item for item in wanted if item.key not in {found.key for found in there}]:
        await client.add_items(board, missing)
        there = await _without_duplicates(client, board, spec)
    await _put_into_columns(client, board, wanted, there)
    if lost := {item.key for item in wanted} - {item.key for item in there}:
        call = VendorCall(system, "add work items", 200)
        raise TransientIntegrationError(call, f"accepted, but not on the board: {', '.join(sorted(lost))}")
    return Nothing(detail=f"{len(wanted)} items", link=board.url, made=_made(system, 1, record.application))


def _items(record: RequestRecord, spec: BoardSpec, template: archetypes.BoardTemplate) -> list[Item]:
    parameters = plans.parameters_of(record)
    host = plans.host_of(record, str(record.body.environments[0]))
    filled = archetypes.work_items(
        template, parameters, application=spec.title, repository=spec.repository_url, hostname=host
    )
    return [
        Item(
            request_id=spec.request_id,
            key=item.id,
            title=item.title,
            body=item.body,
            column=item.column,
            link=spec.repository_url,
        )
        for item in filled
    ]


def _mine(items: Iterable[Item], spec: BoardSpec) -> list[Item]:
    return [item for item in items if item.request_id == spec.request_id]


async def _without_duplicates(client: BoardClient, board: Board, spec: BoardSpec) -> list[Item]:
    """The items of the request, after the younger ones of two that were added at once were removed."""
    kept = []
    by_key = sorted(_mine(await client.list_items(board), spec), key=lambda item: item.key)  # the sort is stable
    for _, group in groupby(by_key, key=lambda item: item.key):
        first, *younger = group
        kept.append(first)
        for item in younger:
            await client.remove_item(board, item, _permit("work item", item.title, spec.request_id, item.request_id))
    return kept


async def _put_into_columns(client: BoardClient, board: Board, wanted: list[Item], there: list[Item]) -> None:
    """Place the items that nobody has placed yet."""
    columns = {item.key: item.column for item in wanted}
    unplaced = [item for item in there if item.column is None and item.key in columns]
    if unplaced:
        placed = [item.model_copy(update={"column": columns[item.key]}) for item in unplaced]
        await client.place_items(board, placed)


@activity
async def remove_board(data: ActivityInput) -> Removed:
    """Delete the board with the work items that this request made.

    Idempotency: absent is success; a board that does not carry our request id is left alone.
    """
    record, _, client, spec = await _chosen(data)
    for board in _marked(await client.find(spec), spec):
        action = Action("undo", "board", board.url, record.id)
        await client.delete(
            board, await shields.allow(action, application=record.application, owned_by=board.request_id)
        )
    return Removed(detail=record.application)
