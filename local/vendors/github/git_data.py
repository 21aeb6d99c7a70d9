"""The git database and contents. https://docs.github.com/rest/git, /rest/repos/contents, /rest/commits."""

import base64
from typing import Any

from aiohttp import web

from local.vendors.github.api import ApiError, Json, page, shape
from local.vendors.github.calls import REPO, Call, operation
from local.vendors.github.repository import ZERO, GitError, Repository

COMMIT_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"


@operation("POST", f"{REPO}/git/blobs")
async def create_blob(call: Call) -> Json:
    await call.repository.require_commit()
    try:
        text = str(call.body["content"])
        content = base64.b64decode(text) if call.body.get("encoding") == "base64" else text.encode()
    except (KeyError, ValueError):
        raise ApiError(422, "content is not valid Base64") from None
    sha = await call.repository.blob(content)
    return {"sha": sha, "url": f"{call.repository.url}/git/blobs/{sha}"}


@operation("GET", f"{REPO}/git/blobs/{{sha}}")
async def get_blob(call: Call) -> Json:
    sha = await call.repository.resolve(call.info["sha"], "blob")
    if sha is None:
        raise ApiError(404, "Not Found")
    content = await call.repository.git("cat-file", "blob", sha)
    facts: Json = {"sha": sha, "node_id": f"B_{sha}", "size": len(content), "encoding": "base64"}
    return facts | {"url": f"{call.repository.url}/git/blobs/{sha}", "content": base64.encodebytes(content).decode()}


@operation("POST", f"{REPO}/git/trees")
async def create_tree(call: Call) -> Json:
    await call.repository.require_commit()
    base = call.body.get("base_tree")
    if base and not (base := await call.repository.resolve(base, "tree")):
        raise ApiError(422, "base_tree is not a valid tree oid")
    changes = [await _change(call.repository, entry) for entry in call.body.get("tree") or []]
    if not changes:
        raise ApiError(422, "Invalid tree info")
    try:
        return await _tree(call.repository, await call.repository.tree(changes, base))
    except GitError:
        raise ApiError(422, "GitRPC::BadObjectState") from None


@operation("GET", f"{REPO}/git/trees/{{sha}}")
async def get_tree(call: Call) -> Json:
    await call.repository.require_commit()
    sha = await call.repository.resolve(call.info["sha"], "tree")
    if sha is None:
        raise ApiError(404, "Not Found")
    return await _tree(call.repository, sha, *["-r", "-t"] * ("recursive" in call.query))


@operation("POST", f"{REPO}/git/commits")
async def create_commit(call: Call) -> Json:
    await call.repository.require_commit()
    tree, parents, wanted = str(call.body.get("tree")), call.body.get("parents") or [], call.body
    if not await call.repository.resolve(tree, "tree"):
        raise ApiError(422, "Tree SHA does not exist")
    if not all([await call.repository.resolve(parent) for parent in parents]):
        raise ApiError(422, "Parent SHA does not exist or is not a commit object")
    try:
        people = wanted.get("author"), wanted.get("committer")
        sha = await call.repository.commit(tree, parents, str(wanted["message"]), *people)
    except (KeyError, ValueError):
        raise ApiError(422, 'Invalid request.\n\n"message" wasn\'t supplied or a date is invalid.') from None
    return await git_commit(call.repository, sha)


@operation("GET", f"{REPO}/git/commits/{{sha}}", f"{REPO}/commits/{{sha:(?!.*/check-runs$).+}}")
async def get_commit(call: Call) -> Json:
    await call.repository.require_commit()
    sha = await call.repository.resolve(call.info["sha"])
    if sha is None:
        raise ApiError(422, f"No commit found for SHA: {call.info['sha']}")
    return await (git_commit if "/git/" in call.request.path else listed_commit)(call.repository, sha)


@operation("GET", f"{REPO}/commits")
async def list_commits(call: Call) -> web.Response:
    await call.repository.require_commit()
    start = await call.repository.resolve(call.query.get("sha", call.repository.document["default_branch"]))
    if start is None:
        raise ApiError(404, "Not Found")
    only = ["--", call.query["path"]] if "path" in call.query else []
    shas = (await call.repository.text("rev-list", "--max-count=1000", start, *only)).split()
    return page(call.request, [await listed_commit(call.repository, sha) for sha in shas])


@operation("GET", f"{REPO}/contents/{{path:.*}}")
async def get_contents(call: Call) -> Any:
    repository, path = call.repository, call.info["path"].strip("/")
    if not await repository.refs():
        raise ApiError(404, "This repository is empty.")
    ref = call.query.get("ref", repository.document["default_branch"])
    commit = await repository.resolve(ref)
    if commit is None:
        raise ApiError(404, f"No commit found for the ref {ref}")
    folder, _, name = path.rpartition("/")
    try:
        entries = await repository.entries(f"{commit}:{path}")
        return [_content(repository, ref, f"{path}/{entry['path']}".lstrip("/"), entry) for entry in entries]
    except GitError:
        content = await repository.read(commit, path)
    if content is None:
        raise ApiError(404, "Not Found")
    if "raw" in call.request.headers.get("Accept", ""):
        return web.Response(body=content, content_type="application/vnd.github.raw")
    entry = next(each for each in await repository.entries(f"{commit}:{folder}") if each["path"] == name)
    shown = _content(repository, ref, path, entry)
    return shown | {"encoding": "base64", "content": base64.encodebytes(content).decode()}


async def git_commit(repository: Repository, sha: str) -> Json:
    shown = (await repository.git("show", "-s", f"--format={COMMIT_FORMAT}", sha)).decode().split("\0")
    sha, tree, parents = shown[:3]
    people = [dict(zip(("name", "email", "date"), shown[at : at + 3], strict=True)) for at in (3, 6)]
    html = f"{repository.facts['html']}/commit"
    links = [{"sha": p, "url": f"{repository.url}/git/commits/{p}", "html_url": f"{html}/{p}"} for p in parents.split()]
    facts = {"sha": sha, "tree": tree, "parents": links, "author": people[0], "committer": people[1]}
    return shape("commit", repository.facts | facts | {"message": shown[9].rstrip("\n")})


async def listed_commit(repository: Repository, sha: str) -> Json:
    """A commit as lists show it: the git commit, and the accounts that GitHub found for its people (none)."""
    commit = await git_commit(repository, sha)
    outer = {name: commit.pop(name) for name in ("sha", "node_id", "html_url", "parents")}
    url, nobody = f"{repository.url}/commits/{sha}", {"author": None, "committer": None}
    return outer | nobody | {"url": url, "comments_url": f"{url}/comments", "commit": commit | {"comment_count": 0}}


async def _change(repository: Repository, entry: Json) -> tuple[str, str, str]:
    mode, path, sha = str(entry.get("mode", "100644")), str(entry.get("path", "")), entry.get("sha")
    if mode not in {"100644", "100755", "120000"}:
        raise ApiError(422, f"tree.mode {mode} is not offered by this stand-in")
    if {"", ".", "..", ".git"} & set(path.split("/")):
        raise ApiError(422, "tree.path contains a malformed path component")
    if "content" in entry:
        return mode, await repository.blob(str(entry["content"]).encode()), path
    if sha is not None and not await repository.resolve(str(sha), "blob"):
        raise ApiError(422, f"tree.sha {sha} is not a valid blob")
    return mode, sha or ZERO, path


async def _tree(repository: Repository, sha: str, *options: str) -> Json:
    entries: list[Json] = await repository.entries(sha, *options)
    for entry in entries:
        size = {"size": int(entry.pop("size"))} if entry["type"] == "blob" else {"size": 0}
        entry.update(size, url=f"{repository.url}/git/{entry['type']}s/{entry['sha']}")
    return {"sha": sha, "url": f"{repository.url}/git/trees/{sha}", "tree": entries, "truncated": False}


def _content(repository: Repository, ref: str, path: str, entry: Json) -> Json:
    kind = {"tree": "dir", "blob": "file", "commit": "submodule"}[entry["type"]]
    raw = f"https://raw.githubusercontent.com/{repository.full_name}/{ref}/{path}" if kind == "file" else None
    size = int(entry["size"]) if entry["size"] != "-" else 0
    facts = {"type": kind, "object": entry["type"], "size": size, "download": raw, "ref": ref}
    return shape("content", repository.facts | entry | facts | {"path": path, "name": path.rsplit("/", 1)[-1]})
