"""One call: its repository, its token, and the documents that belong to the repository."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from local.vendors.github.api import ApiError, Json, body
from local.vendors.github.tokens import GRANT
from local.vendors.kernel import Kernel, Store


@dataclass
class Call:
    request: web.Request
    kernel: Kernel
    store: Store
    repository: Any
    body: Json

    @property
    def url(self) -> str:
        return f"https://api.github.com/repos/{self.repository.full_name}"

    @property
    def actor(self) -> str:
        return str(self.request[GRANT]["actor"])

    def key(self, name: str) -> str:
        return f"{self.repository.id}/{name}"

    def all(self, name: str) -> list[Json]:
        return [value for _, value in self.store.list(self.key(name))]

    def jobs(self) -> list[tuple[Json, Json]]:
        """Every run of the repository with each of its jobs, newest run first."""
        actions = self.kernel.vendor("actions")
        return [(run, job) for run in actions.runs(self.repository.id) for job in actions.jobs(run["id"])]


Work = Callable[[Call], Awaitable[web.StreamResponse]]


class Evidence:
    def __init__(self, kernel: Kernel, name: str) -> None:
        self._kernel = kernel
        self._store = kernel.store(name)

    def handler(self, work: Work) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler behind GitHub's own tokens and error bodies."""

        async def inner(request: web.Request) -> web.StreamResponse:
            info, grant = request.match_info, request[GRANT]
            repository = self._kernel.vendor("github").repository(info["owner"], info["repo"])
            allowed = grant["repositories"]
            if repository is None or (allowed is not None and repository.name not in allowed):
                raise ApiError(404, "Not Found")
            sent = await body(request) if request.method == "POST" else {}
            return await work(Call(request, self._kernel, self._store, repository, sent))

        async def guarded(request: web.Request) -> web.StreamResponse:
            answer: web.StreamResponse = await self._kernel.vendor("github").guard(inner)(request)
            return answer

        return guarded
