"""The projects as documents: one per project, with its Status field and its items.

https://docs.github.com/graphql/reference/objects#projectv2
"""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from graphql import GraphQLError

from local.vendors.github.repository import BOT
from local.vendors.kernel import Kernel

FIRST_COLUMNS = (("Todo", "GREEN"), ("In Progress", "YELLOW"), ("Done", "PURPLE"))

type Json = dict[str, Any]


def refused(kind: str, message: str) -> GraphQLError:
    """An error with the word that GitHub gives as its type."""
    return GraphQLError(message, extensions={"type": kind})


def pick(documents: Iterable[Json], node_id: str, key: str = "id") -> Json:
    """The document of a node id. Raises GraphQLError: NOT_FOUND."""
    found = next((document for document in documents if document[key] == node_id), None)
    if found is None:
        raise refused("NOT_FOUND", f"Could not resolve to a node with the global id of '{node_id}'")
    return found


def titled(title: str) -> str:
    """The title. Raises GraphQLError: UNPROCESSABLE."""
    if not title.strip():
        raise refused("UNPROCESSABLE", "Title can't be blank")
    return title


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(10)}"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def option(name: str, color: str, description: str = "") -> Json:
    return {"id": secrets.token_hex(4), "name": name, "color": color, "description": description}


class Projects:
    """What the organisation has; repositories belong to the GitHub stand-in."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._store = kernel.store("github_projects")

    def all(self) -> list[Json]:
        """The youngest first."""
        return [project for _, project in sorted(self._store.list("project/"), key=lambda row: -row[1]["number"])]

    def repositories(self) -> list[Json]:
        """Every repository, as GitHub's REST API shows it."""
        return [each.shape() for each in self.kernel.vendor("github").repositories()]

    def create(self, title: str, repositories: list[str]) -> Json:
        number = (self._store.get("number") or 0) + 1
        status = {"id": new_id("PVTSSF"), "options": [option(*column) for column in FIRST_COLUMNS]}
        project = {"id": new_id("PVT"), "number": number, "title": titled(title), "creator": BOT, "status": status}
        project |= {"readme": "", "shortDescription": "", "closed": False, "public": False, "createdAt": now()}
        with self._store.transaction():
            self._store.put("number", number)
            self.save(project | {"repositories": repositories, "items": []})
        return self.all()[0]

    def save(self, project: Json) -> None:
        self._store.put(f"project/{project['id']}", project | {"updatedAt": now()})

    def delete(self, project: Json) -> None:
        self._store.delete(f"project/{project['id']}")
