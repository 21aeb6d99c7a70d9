"""One call of the REST API: what its handler needs, and the table of all handlers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from local.vendors.github.api import ApiError, Json, body
from local.vendors.github.hosting import Hosting
from local.vendors.github.repository import Repository
from local.vendors.github.tokens import GRANT

Operation = Callable[["Call"], Awaitable[Any]]
OPERATIONS: list[tuple[str, str, Operation]] = []
REPO = "/repos/{owner}/{repo}"


@dataclass
class Call:
    request: web.Request
    hosting: Hosting
    body: Json
    repository: Repository

    def __post_init__(self) -> None:
        self.info = self.request.match_info
        self.query = self.request.query
        self.actor: str = self.request[GRANT]["actor"]
        self.actions: Any = self.hosting.kernel.vendor("actions")

    def key(self, name: str) -> str:
        """The key of a document that belongs to the repository and goes with it."""
        return f"of/{self.repository.id}/{name.format_map(self.info)}"

    def get(self, name: str, missing: str = "Not Found") -> Json:
        found: Json | None = self.hosting.store.get(self.key(name))
        if found is None:
            raise ApiError(404, missing)
        return found

    def put(self, name: str, value: Json) -> Json:
        self.hosting.store.put(self.key(name), value)
        return value

    def all(self, name: str) -> list[Json]:
        return [value for _, value in self.hosting.store.list(self.key(name))]


def operation(method: str, *paths: str) -> Callable[[Operation], Operation]:
    """Register a handler. It returns a document (201 after POST, else 200), None (204) or a whole response."""

    def register(handler: Operation) -> Operation:
        OPERATIONS.extend((method, path, handler) for path in paths)
        return handler

    return register


def routes(hosting: Hosting) -> list[web.RouteDef]:
    return [
        web.route(method, path, hosting.tokens.guard(_answer(hosting, path, handler)))
        for method, path, handler in OPERATIONS
    ]


def _answer(hosting: Hosting, path: str, handler: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        writes = request.method != "GET"
        # Calls of the organisation have no repository and do not ask for it.
        repository: Any = hosting.find(request) if "/repos/" in path or "{repository_id}" in path else None
        result = await handler(Call(request, hosting, await body(request) if writes else {}, repository))
        if isinstance(result, web.StreamResponse):
            return result
        if result is None:
            return web.Response(status=204)
        return web.json_response(result, status=201 if request.method == "POST" else 200)

    return answer
