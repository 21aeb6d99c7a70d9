"""The systems that can keep a board, by the name that a request is taken in with."""

from shared.boards import BoardClient, BoardSpec
from shared.clients import azure_boards, github_projects
from shared.clients._github import owner
from shared.models.records import RequestRecord

_CLIENTS: dict[str, BoardClient] = {"github_projects": github_projects, "azure_boards": azure_boards}


def board_of(record: RequestRecord) -> tuple[str, BoardClient, BoardSpec]:
    """The system that is pinned in the request, its client, and the board that is wanted."""
    system = next(name for name in record.systems if name in _CLIENTS)
    name = record.application
    return system, _CLIENTS[system], BoardSpec(title=name, request_id=record.id, repository=f"{owner()}/{name}")
