"""The team's board, whoever keeps it: what GitHub Projects and Azure Boards have in common."""

import re
from typing import Literal, Protocol

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.guard import Permit
from shared.models import Model
from shared.settings import Settings, load

_MARK = re.compile(r"appstore:(req-[0-9a-z]+)(?:/([0-9a-z-]+))?")


class BoardSettings(Settings):
    """The team's board."""

    model_config = SettingsConfigDict(env_prefix="BOARD_", frozen=True, extra="ignore")

    system: Literal["github_projects", "azure_boards", "none"] = Field(
        default="github_projects", description="Who keeps the boards: `github_projects`, `azure_boards` or `none`."
    )


class BoardSpec(Model):
    """The board that a request wants.

    Attributes:
        title: name of the board: the application's.
        request_id: the request that the board belongs to.
        repository: ``owner/name`` of the repository that it is linked to.
    """

    title: str
    request_id: str
    repository: str

    @property
    def repository_url(self) -> str:
        """The repository's page."""
        return f"https://github.com/{self.repository}"

    @property
    def about(self) -> str:
        """What stands on the board, with the mark that makes it ours."""
        return f"Work on {self.title}, {self.repository_url}. Made by the App Store, {mark(self.request_id)}"


class Board(Model):
    """A board that exists.

    Attributes:
        id: the vendor's id.
        request_id: the request that it carries the mark of; None when it carries none.
        about: its description.
        repositories: ``owner/name`` of the repositories that it is linked to.
    """

    id: str
    title: str
    url: str
    request_id: str | None = None
    about: str = ""
    repositories: list[str] = []


class Item(Model):
    """A work item of the archetype on a board, or one that shall be there.

    Attributes:
        request_id, key: what it is known by; people may change everything else.
        column: where it lies; None while nobody has put it anywhere.
        link: page of the repository that it is about.
        id: the vendor's id; empty before it exists.
    """

    request_id: str
    key: str
    title: str
    body: str = ""
    column: str | None = None
    link: str = ""
    id: str = ""

    @property
    def mark(self) -> str:
        """What the vendor keeps of request and key."""
        return mark(self.request_id, self.key)


class BoardClient(Protocol):
    """What a client of a board system can do. Each function raises IntegrationError and nothing else."""

    async def find(self, spec: BoardSpec) -> list[Board]:
        """Boards with the request's mark or with the title, the oldest first."""

    async def create(self, spec: BoardSpec) -> Board:
        """Create a board that carries the request's mark from its first moment."""

    async def configure(self, board: Board, spec: BoardSpec) -> Board:
        """Give the board everything that creating it could not; a repeat changes nothing."""

    async def link_repository(self, board: Board, spec: BoardSpec) -> None:
        """Let the board name its repository; a repeat changes nothing."""

    async def set_columns(self, board: Board, columns: list[str]) -> None:
        """Replace the board's columns, unless they are these already."""

    async def list_items(self, board: Board) -> list[Item]:
        """The items that carry a mark, the oldest first."""

    async def add_items(self, board: Board, items: list[Item]) -> None:
        """Create items, each with its mark from its first moment; some may exist although it fails."""

    async def place_items(self, board: Board, items: list[Item]) -> None:
        """Put items into their columns."""

    async def remove_item(self, board: Board, item: Item, permit: Permit) -> None:
        """Remove an item; absent is success."""

    async def delete(self, board: Board, permit: Permit) -> None:
        """Remove the board with the items that carry its mark; absent is success."""


def mark(request_id: str, key: str = "") -> str:
    """What is written into an object so that it can be told from those of others."""
    return f"appstore:{request_id}" + (f"/{key}" if key else "")


def marked(text: str | None) -> tuple[str, str] | None:
    """Request id and key (empty for a board) of the first mark in a text, or None."""
    found = _MARK.search(text or "")
    return (found[1], found[2] or "") if found else None


def owner_of(*texts: str | None) -> str | None:
    """The request whose mark one of the texts carries, or None."""
    found = next((mark for mark in map(marked, texts) if mark), None)
    return found[0] if found else None


def in_use(system: str) -> bool:
    """Whether this system keeps the boards."""
    return load(BoardSettings).system == system
