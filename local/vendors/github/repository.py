"""A repository on disk: a bare git directory and the plumbing that the REST API stands on."""

import asyncio
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.vendors.github.api import API, ORGANISATION, ORGANISATION_ID, ApiError, Json, shape

ZERO = "0" * 40
SETTINGS = ("http.receivepack=true", "uploadpack.allowAnySHA1InWant=true", "core.logAllRefUpdates=false")
BOT = "appstore-orchestrator[bot]"
IDENTITY = {"name": BOT, "email": f"1001+{BOT}@users.noreply.github.com"}


class GitError(Exception):
    """What git printed when it refused."""


class Repository:
    """One repository: the document that the API shows and the git directory that is cloned."""

    def __init__(self, directory: Path, document: dict[str, Any]) -> None:
        self.directory = directory
        self.document = document
        self.id: int = document["id"]
        self.name: str = document["name"]
        self.full_name = f"{ORGANISATION}/{self.name}"
        self.url = f"{API}/repos/{self.full_name}"
        html = f"https://github.com/{self.full_name}"
        self.facts: Json = {"url": self.url, "html": html, "full_name": self.full_name}

    def shape(self) -> Json:
        """The "full repository" document."""
        shown = {"node_id": f"R_{self.id}", "private": self.document["visibility"] != "public"}
        filled = shape("repository", self.facts | self.document | shown)
        return {name: value for name, value in self.document.items() if name != "properties"} | filled

    @property
    def subject_prefix(self) -> str:
        """The immutable start of the OIDC subject: names alone could be taken over."""
        return f"repo:{ORGANISATION}@{ORGANISATION_ID}/{self.name}@{self.id}"

    async def git(self, *arguments: str, stdin: bytes = b"", index: str | None = None) -> bytes:
        """Run git in the directory and return what it printed; GitError when it fails."""
        extra = {"GIT_INDEX_FILE": index} if index else {}
        safe = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
        process = await asyncio.create_subprocess_exec(
            *("git", "--git-dir", str(self.directory), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=safe | extra,
        )
        out, error = await process.communicate(stdin)
        if process.returncode:
            raise GitError(error.decode(errors="replace").strip())
        return out

    async def text(self, *arguments: str, stdin: bytes = b"", index: str | None = None) -> str:
        return (await self.git(*arguments, stdin=stdin, index=index)).decode().strip()

    async def create(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        await self.git("init", "--bare", "--quiet", "--initial-branch=main", str(self.directory))
        for setting in SETTINGS:
            await self.git("config", *setting.split("="))

    async def require_commit(self) -> None:
        """An empty repository has no git database yet."""
        if not await self.refs("refs/"):
            raise ApiError(409, "Git Repository is empty.")

    async def resolve(self, name: str, kind: str = "commit") -> str | None:
        """The object id that a branch, tag, ref or id names; None when there is none of that kind."""
        if name.startswith("-"):
            return None
        for candidate in (f"refs/heads/{name}", f"refs/tags/{name}", name):
            try:
                return await self.text("rev-parse", "--verify", "--quiet", f"{candidate}^{{{kind}}}")
            except GitError:
                continue
        return None

    async def refs(self, prefix: str = "refs/heads/") -> dict[str, str]:
        listing = await self.text("for-each-ref", "--format=%(refname) %(objectname)", prefix)
        return dict(line.split() for line in listing.splitlines())

    async def entries(self, tree: str, *options: str) -> list[dict[str, Any]]:
        """The entries of a tree (a tree id, or `commit:path`)."""
        listing = (await self.git("ls-tree", "-z", "--long", *options, tree)).decode()
        found = []
        for line in filter(None, listing.split("\0")):
            facts, path = line.split("\t", 1)
            mode, kind, sha, size = facts.split()
            found.append({"path": path, "mode": mode, "type": kind, "sha": sha, "size": size})
        return found

    async def folder(self, commit: str, path: str) -> list[str]:
        """The paths of the entries of a folder in a commit; none when it is not there."""
        try:
            return [f"{path}/{entry['path']}" for entry in await self.entries(f"{commit}:{path}")]
        except GitError:
            return []

    async def read(self, commit: str, path: str) -> bytes | None:
        """The content of a file in a commit; None when it is not there."""
        try:
            return await self.git("cat-file", "blob", f"{commit}:{path}")
        except GitError:
            return None

    async def blob(self, content: bytes) -> str:
        return await self.text("hash-object", "-w", "--stdin", stdin=content)

    async def tree(self, changes: list[tuple[str, str, str]], base: str | None = None) -> str:
        """Write a tree: `base` with (mode, id, path) set; the zero id removes a path."""
        with tempfile.TemporaryDirectory(dir=self.directory) as folder:
            index = str(Path(folder) / "index")
            if base:
                await self.git("read-tree", base, index=index)
            lines = "".join(f"{'0' if sha == ZERO else mode} {sha}\t{path}\0" for mode, sha, path in changes)
            await self.git(
                "update-index", "--add", "--replace", "-z", "--index-info", stdin=lines.encode(), index=index
            )
            return await self.text("write-tree", index=index)

    async def commit(self, tree: str, parents: list[str], message: str, author: Any = None, by: Any = None) -> str:
        """Write a commit object; the same content and times give the same id, as git promises."""
        author = author or IDENTITY
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {_signature(author)}", f"committer {_signature(by or author)}", "", message]
        return await self.text("hash-object", "-t", "commit", "-w", "--stdin", stdin="\n".join(lines).encode())

    async def update(self, ref: str, new: str, old: str) -> None:
        """Move a ref only if it still is at `old` (the zero id: it must not exist)."""
        await self.git("update-ref", ref, new, old)

    async def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        try:
            await self.git("merge-base", "--is-ancestor", ancestor, descendant)
        except GitError:
            return False
        return True


def _signature(person: dict[str, Any]) -> str:
    date = person.get("date")
    at = datetime.fromisoformat(date) if date else datetime.now(UTC)
    name, email = (str(person.get(part, "")).translate(str.maketrans("", "", "<>\n")) for part in ("name", "email"))
    return f"{name} <{email}> {int(at.timestamp())} +0000"
