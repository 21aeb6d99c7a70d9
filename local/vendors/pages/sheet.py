"""What a page shows, and the one template that shows it: everything is escaped, only web addresses become links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


@dataclass(frozen=True)
class Link:
    """A text that leads somewhere."""

    text: object
    url: str

    def __str__(self) -> str:
        return str(self.text)


type Rows = Sequence[Sequence[object]]  # a cell is a Link or is shown as text


@dataclass(frozen=True)
class Sheet:
    """A page: facts without a value and tables without rows are left out."""

    kind: str
    title: str
    facts: Mapping[str, object] = field(default_factory=dict)
    text: str = ""
    tables: Mapping[str, Rows] = field(default_factory=dict)
    status: int = 200

    def html(self) -> str:
        return _TEMPLATES.get_template("page.html").render(sheet=self)


def missing(address: str) -> Sheet:
    """The page of what is not there."""
    return Sheet("404", "There is nothing here", {"Address": address}, "It never was, or is gone.", status=404)


_LOADER = FileSystemLoader(Path(__file__).parent)
_TEMPLATES = Environment(loader=_LOADER, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
_TEMPLATES.tests["link"] = lambda cell: isinstance(cell, Link) and cell.url.startswith(("https://", "http://"))
