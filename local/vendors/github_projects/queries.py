"""What queries read. Members that take arguments are functions, as graphql-core calls them.

https://docs.github.com/graphql/reference/queries
https://docs.github.com/graphql/guides/using-pagination-in-the-graphql-api
"""

import base64
from collections.abc import Callable
from typing import Any

from local.vendors.github.api import ORGANISATION

from .projects import Json, Projects, pick, refused

MOST = 100
ORGANISATION_NODE = "O_contoso"


def connection(name: str, rows: list[Json], first: int | None, after: str | None) -> Json:
    """A page of a list, as GitHub bounds it. Raises GraphQLError."""
    if first is None:
        said = f"You must provide a `first` or `last` value to properly paginate the `{name}` connection."
        raise refused("MISSING_PAGINATION_BOUNDARIES", said)
    if not 0 < first <= MOST:
        said = f"Requesting {first} records on the `{name}` connection exceeds the `first` limit of {MOST} records."
        raise refused("EXCESSIVE_PAGINATION", said)
    begin = _position(after)
    end = min(begin + first, len(rows))
    cursor = base64.b64encode(f"cursor:v2:{end}".encode()).decode() if rows else None
    page = {"hasNextPage": end < len(rows), "hasPreviousPage": begin > 0, "endCursor": cursor}
    return {"nodes": rows[begin:end], "totalCount": len(rows), "pageInfo": page}


def _position(cursor: str | None) -> int:
    try:
        return int(base64.b64decode(cursor or "").rpartition(b":")[2] or 0)
    except ValueError:
        raise refused("INVALID_CURSOR_ARGUMENTS", f"`{cursor}` does not appear to be a valid cursor.") from None


class Queries:
    """Resolvers over the projects."""

    def __init__(self, projects: Projects) -> None:
        self.projects = projects

    def root(self) -> dict[str, Any]:
        """Root of every document."""
        return {"organization": self._organization, "repository": self._find_repository, "node": self._node}

    def _organization(self, _: object, login: str) -> Json:
        if login.lower() != ORGANISATION:
            raise refused("NOT_FOUND", f"Could not resolve to an Organization with the login of '{login}'.")
        listing = self._listing(self.projects.all)
        provider = lambda _: {"externalIdentities": self.projects.kernel.vendor("github_saml").identities}  # noqa: E731
        shown = {"id": ORGANISATION_NODE, "login": ORGANISATION, "projectsV2": listing}
        return shown | {"samlIdentityProvider": provider}

    def _find_repository(self, _: object, owner: str, name: str, **_more: object) -> Json:
        wanted = f"{owner}/{name}".lower()
        found = next((each for each in self.projects.repositories() if each["full_name"].lower() == wanted), None)
        if found is None:
            raise refused("NOT_FOUND", f"Could not resolve to a Repository with the name '{owner}/{name}'.")
        return self.repository(found)

    def _node(self, _: object, **named: str) -> Json:
        return self.project(pick(self.projects.all(), named["id"])) | {"__typename": "ProjectV2"}

    def repository(self, found: Json) -> Json:
        def linked() -> list[Json]:
            return [project for project in self.projects.all() if found["node_id"] in project["repositories"]]

        shown = {"id": found["node_id"], "name": found["name"], "nameWithOwner": found["full_name"]}
        return shown | {"url": found["html_url"], "projectsV2": self._listing(linked)}

    def _listing(self, rows: Callable[[], list[Json]]) -> Callable[..., Json]:
        def listing(_: object, first: int | None = None, after: str | None = None, query: str = "") -> Json:
            words = query.lower().split()
            found = [row for row in rows() if all(word in row["title"].lower() for word in words)]
            return connection("projectsV2", [self.project(row) for row in found], first, after)

        return listing

    def project(self, project: Json) -> Json:
        def field(_: object, name: str) -> Json | None:
            return self.status(project) if name.lower() == "status" else None

        def items(_: object, first: int | None = None, after: str | None = None) -> Json:
            return connection("items", [self.item(project, item) for item in project["items"]], first, after)

        def repositories(_: object, first: int | None = None, after: str | None = None) -> Json:
            known = [each for each in self.projects.repositories() if each["node_id"] in project["repositories"]]
            return connection("repositories", [self.repository(each) for each in known], first, after)

        shown = project | {"url": f"https://github.com/orgs/{ORGANISATION}/projects/{project['number']}"}
        shown |= {"creator": {"__typename": "Bot", "login": project["creator"]}}
        return shown | {"field": field, "items": items, "repositories": repositories}

    def status(self, project: Json) -> Json:
        return {"__typename": "ProjectV2SingleSelectField", "name": "Status", **project["status"]}

    def item(self, project: Json, item: Json) -> Json:
        def value(_: object, name: str) -> Json | None:
            chosen = next((one for one in project["status"]["options"] if one["id"] == item["option"]), None)
            if name.lower() != "status" or chosen is None:
                return None
            kind = {"__typename": "ProjectV2ItemFieldSingleSelectValue", "optionId": chosen["id"]}
            return kind | {"name": chosen["name"], "color": chosen["color"]}

        return item | {"fieldValueByName": value}
