"""github.com itself: which repositories exist, and git's smart HTTP protocol (clone, fetch, push)."""

import asyncio
import base64
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from local.vendors.github.api import ORGANISATION, ApiError, Json, now
from local.vendors.github.repository import BOT, ZERO, Repository
from local.vendors.github.tokens import GRANT, Tokens
from local.vendors.kernel import MUTATING, Kernel

ON = (
    "has_issues",
    "has_projects",
    "has_wiki",
    "has_downloads",
    "allow_squash_merge",
    "allow_merge_commit",
    "allow_rebase_merge",
)
OFF = ("has_discussions", "is_template", "allow_auto_merge", "delete_branch_on_merge", "archived")
DEFAULTS: Json = dict.fromkeys(ON, True) | dict.fromkeys(OFF, False) | {"homepage": None}


class Hosting:
    """The repositories of the organisation. A document per repository, its content in a git directory by id."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.store = kernel.store("github")
        self.tokens = Tokens(self.store)

    def next_id(self, kind: str, first: int = 1) -> int:
        with self.store.transaction():
            number: int = (self.store.get(f"counters/{kind}") or first - 1) + 1
            self.store.put(f"counters/{kind}", number)
        return number

    def repository(self, owner: str, name: str) -> Repository | None:
        """A repository by its name, in any case; None when there is none."""
        document = self.store.get(f"repositories/{name.lower()}") if owner.lower() == ORGANISATION else None
        return self._open(document) if document else None

    def repositories(self) -> Iterator[Repository]:
        return (self._open(document) for _, document in self.store.list("repositories/"))

    def find(self, request: web.Request) -> Repository:
        """The repository in the request's path, by name or by id, if the token may see and change it."""
        info, grant = request.match_info, request[GRANT]
        found = self.repository(info["owner"], info["repo"]) if "owner" in info else self._by_id(info["repository_id"])
        allowed = grant["repositories"]
        if found is None or (allowed is not None and found.name not in allowed):
            raise ApiError(404, "Not Found")
        unarchiving = request.method in {"PATCH", "DELETE"} and request.path.count("/") == 3
        if found.document["archived"] and request.method != "GET" and not unarchiving:
            raise ApiError(403, "Repository was archived so is read-only.")
        return found

    def save(self, repository: Repository) -> None:
        repository.document["updated_at"] = now()
        self.store.put(f"repositories/{repository.name.lower()}", repository.document)

    async def create(self, name: str, fields: Json) -> Repository | None:
        """Create an empty repository; None when the name is taken."""
        if self.repository(ORGANISATION, name):
            return None
        times = dict.fromkeys(("created_at", "updated_at", "pushed_at"), now())
        document = {"id": self.next_id("repository", 900_000_001), "name": name, "default_branch": "main"}
        created = self._open(DEFAULTS | document | times | fields)
        await created.create()
        # The document comes last: a repository is there when its directory is whole.
        return created if self.store.insert(f"repositories/{name.lower()}", created.document) else None

    def remove(self, repository: Repository) -> None:
        with self.store.transaction():
            self.store.delete(f"repositories/{repository.name.lower()}")
            for key, _ in self.store.list(f"of/{repository.id}/"):
                self.store.delete(key)
        shutil.rmtree(repository.directory, ignore_errors=True)

    async def moved(self, repository: Repository, ref: str, old: str, new: str, actor: str) -> None:
        """A ref was pushed: tell Actions, which honours `[skip ci]`."""
        repository.document["pushed_at"] = now()
        self.save(repository)
        if new != ZERO and ref.startswith("refs/heads/"):
            event = {"ref": ref, "before": old, "after": new}
            await self.kernel.vendor("actions").event(repository, "push", ref, new, event, actor=actor)

    async def seed(self, source: Path) -> None:
        """Create the infrastructure repository from a folder, or commit what changed there since the last start."""
        repository = self.repository(ORGANISATION, "infrastructure") or await self.create(
            "infrastructure", {"visibility": "internal", "description": "Infrastructure as code", "properties": {}}
        )
        assert repository is not None  # noqa: S101 - nobody else creates it before the start is over
        files = _contents(source)
        listing = "".join(f"{file}\n" for file in files.values()).encode()
        ids = (await repository.text("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=listing)).split()
        modes = ("100755" if os.access(file, os.X_OK) else "100644" for file in files.values())
        changes = list(zip(modes, ids, files, strict=True))
        head = await repository.resolve("main")
        if head:
            old = {entry["path"] for entry in await repository.entries(head, "-r")}
            changes += [("0", ZERO, path) for path in old - files.keys() if not path.startswith("apps/")]
        tree = await repository.tree(changes, head)
        if head is None or tree != await repository.resolve(head, "tree"):
            commit = await repository.commit(tree, [head] if head else [], "Modules, stacks, runner and workflows")
            await repository.update("refs/heads/main", commit, head or ZERO)

    def git_routes(self) -> list[web.RouteDef]:
        path = "/{owner}/{repo}"
        services = [web.post(f"{path}/git-{name}-pack", self._smart_http) for name in ("upload", "receive")]
        return [web.get(f"{path}/info/refs", self._smart_http), *services]

    async def _smart_http(self, request: web.Request) -> web.StreamResponse:
        """https://git-scm.com/docs/http-protocol, answered by git's own CGI program."""
        name = request.match_info["repo"].removesuffix(".git")
        repository = self.repository(request.match_info["owner"], name)
        writes = "receive-pack" in request.path_qs
        request[MUTATING] = writes and request.method == "POST"
        password = _password(request)
        grant = self.tokens.grant(password or "")
        visibility = repository.document["visibility"] if repository else "private"
        if not (grant or (not writes and (visibility == "public" or (visibility == "internal" and password)))):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="GitHub"'})
        if repository is None or (grant and name not in (grant["repositories"] or [name])):
            return web.Response(status=404, text="Repository not found.")
        if writes and repository.document["archived"]:
            return web.Response(status=403, text="This repository was archived so it is read-only.")
        before = await repository.refs() if writes else {}
        response = await self._backend(request, repository)
        if request[MUTATING]:
            for ref, new in (await repository.refs()).items():
                if before.get(ref, ZERO) != new:
                    await self.moved(repository, ref, before.get(ref, ZERO), new, grant["actor"] if grant else BOT)
        return response

    async def _backend(self, request: web.Request, repository: Repository) -> web.Response:
        suffix = request.path.split("/", 3)[3]
        variables = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(repository.directory.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{repository.directory.name}/{suffix}",
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "git",
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec("git", "http-backend", stdin=pipe, stdout=pipe, env=variables)
        out, _ = await process.communicate(await request.read())
        head, _, content = out.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, body=content, headers=headers)

    def _open(self, document: Json) -> Repository:
        return Repository(self.kernel.data_dir / "github" / f"{document['id']}.git", document)

    def _by_id(self, number: str) -> Repository | None:
        return next((each for each in self.repositories() if str(each.id) == number), None)


def _password(request: web.Request) -> str | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return value or None
    try:
        return base64.b64decode(value).decode().partition(":")[2]
    except ValueError:
        return None


def _contents(source: Path) -> dict[str, Path]:
    """Path in the repository -> file: workflows go where GitHub looks for them, every other folder to the root."""
    paths = sorted(file.relative_to(source) for file in source.rglob("*") if file.is_file())
    kept = [path for path in paths if not {"__pycache__", ".terraform"} & set(path.parts)]
    return {str(Path(".github", path) if path.parts[0] == "workflows" else path): source / path for path in kept}
