"""GitHub: repositories, their content, pull requests.

Documentation: https://docs.github.com/rest
"""

import base64
from dataclasses import dataclass
from typing import Any

from shared.clients._github import GITHUB, owner
from shared.clients._http import Call
from shared.errors import ConflictError, NotFoundError, TransientIntegrationError, VendorCall
from shared.guard import Permit
from shared.models import Model

PROPERTY = "appstore-request-id"
_BOT = {"name": "App Store", "email": "appstore@users.noreply.github.com"}


class RepositoryAnswer(Model):
    """The part of a repository that we rely on; GitHub writes snake_case."""

    id: int
    full_name: str
    html_url: str
    default_branch: str
    custom_properties: dict[str, Any] = {}

    model_config = {**Model.model_config, "alias_generator": None}


class _Sha(Model):
    sha: str


class _Tree(Model):
    sha: str


class CommitAnswer(Model):
    """A git commit object."""

    sha: str
    tree: _Tree
    parents: list[_Sha]
    message: str


class _Reference(Model):
    object: _Sha


class _Head(Model):
    sha: str
    ref: str


class _Account(Model):
    login: str
    type: str


class PullAnswer(Model):
    """The part of a pull request that we rely on."""

    model_config = {**Model.model_config, "alias_generator": None}

    number: int
    html_url: str
    state: str
    title: str = ""
    body: str | None = None
    head: _Head
    base: _Head
    merged_at: str | None = None
    merge_commit_sha: str | None = None
    merged_by: _Account | None = None


class _Merged(Model):
    merged: bool
    sha: str


@dataclass(frozen=True)
class File:
    """A text file of a commit."""

    path: str
    content: str
    executable: bool = False


def _repo(name: str, rest: str = "") -> str:
    return f"/repos/{owner()}/{name}{rest}"


async def find_repository(name: str) -> RepositoryAnswer | None:
    """The repository, or None."""
    call = Call("get repository", "GET", _repo(name), expect=(200, 404))
    answer = await GITHUB.call(call)
    return None if answer.status == 404 else GITHUB.shaped(call, answer, RepositoryAnswer)  # noqa: PLR2004 - HTTP status


async def create_repository(name: str, request_id: str) -> RepositoryAnswer:
    """Create an internal repository that carries the request id from its first moment.

    Raises:
        ConflictError: the name is taken.
    """
    body = {
        "name": name,
        "visibility": "internal",
        "auto_init": True,
        "delete_branch_on_merge": True,
        "allow_merge_commit": False,
        "custom_properties": {PROPERTY: request_id},
    }
    call = Call("create repository", "POST", f"/orgs/{owner()}/repos", body, expect=(201,))
    return await GITHUB.read(call, RepositoryAnswer)


async def delete_repository(name: str, permit: Permit) -> None:
    """Delete a repository; absent is success."""
    await GITHUB.call(Call(f"delete {permit.action.kind}", "DELETE", _repo(name), expect=(204, 404)))


async def read_subject_prefix(name: str) -> str:
    """Prefix of the OIDC subjects of the repository's workflows: immutable ids, not names."""

    class Customization(Model):
        model_config = {**Model.model_config, "alias_generator": None}
        sub_claim_prefix: str

    call = Call("get oidc subject", "GET", _repo(name, "/actions/oidc/customization/sub"))
    return (await GITHUB.read(call, Customization)).sub_claim_prefix


async def read_head(name: str, branch: str) -> str | None:
    """Commit that a branch points to, or None; an empty repository has none."""
    call = Call("get reference", "GET", _repo(name, f"/git/ref/heads/{branch}"), expect=(200, 404, 409))
    answer = await GITHUB.call(call)
    return GITHUB.shaped(call, answer, _Reference).object.sha if answer.status == 200 else None  # noqa: PLR2004 - HTTP status


async def read_commit(name: str, sha: str) -> CommitAnswer:
    """A commit object."""
    return await GITHUB.read(Call("get commit", "GET", _repo(name, f"/git/commits/{sha}")), CommitAnswer)


async def read_paths(name: str, tree: str) -> dict[str, str]:
    """Blob ids of a tree by path."""
    call = Call("get tree", "GET", _repo(name, f"/git/trees/{tree}"), params={"recursive": "1"})

    class Item(Model):
        path: str
        type: str
        sha: str

    class Listing(Model):
        tree: list[Item]

    return {item.path: item.sha for item in (await GITHUB.read(call, Listing)).tree if item.type == "blob"}


async def read_file(name: str, path: str, branch: str) -> str | None:
    """Text of a file on a branch, or None."""

    class Content(Model):
        content: str
        encoding: str

    call = Call("get content", "GET", _repo(name, f"/contents/{path}"), params={"ref": branch}, expect=(200, 404))
    answer = await GITHUB.call(call)
    if answer.status == 404:  # noqa: PLR2004 - HTTP status
        return None
    found = GITHUB.shaped(call, answer, Content)
    return base64.b64decode(found.content).decode("utf-8")


async def read_blob(name: str, sha: str) -> str:
    """Text of a blob."""

    class Blob(Model):
        content: str
        encoding: str

    found = await GITHUB.read(Call("get blob", "GET", _repo(name, f"/git/blobs/{sha}")), Blob)
    return base64.b64decode(found.content).decode("utf-8")


async def create_tree(name: str, files: list[File], base: str | None = None, removed: tuple[str, ...] = ()) -> str:
    """A tree of files, on top of ``base`` when given. Content-addressed: the same files give the same id.

    Raises:
        TransientIntegrationError: among others, the repository was made a moment ago and is still empty (409).
    """
    items: list[dict[str, Any]] = [
        {"path": file.path, "mode": "100755" if file.executable else "100644", "type": "blob", "content": file.content}
        for file in files
    ]
    items += [{"path": path, "mode": "100644", "type": "blob", "sha": None} for path in removed]
    body: dict[str, Any] = {"tree": items}
    if base:
        body["base_tree"] = base
    call = Call("create tree", "POST", _repo(name, "/git/trees"), body, expect=(201,))
    try:
        return (await GITHUB.read(call, _Sha)).sha
    except ConflictError as error:
        if error.call.status_code == 409:  # noqa: PLR2004 - HTTP status
            raise TransientIntegrationError(error.call, error.detail) from error
        raise


async def create_commit(name: str, *, message: str, tree: str, parents: list[str], at: str) -> str:
    """A commit with a given date, so that a repeat makes the very same object."""
    person = {**_BOT, "date": at}
    body = {"message": message, "tree": tree, "parents": parents, "author": person, "committer": person}
    call = Call("create commit", "POST", _repo(name, "/git/commits"), body, expect=(201,))
    return (await GITHUB.read(call, CommitAnswer)).sha


async def create_branch(name: str, branch: str, sha: str) -> None:
    """Point a new branch to a commit. Raises ConflictError when it exists."""
    body = {"ref": f"refs/heads/{branch}", "sha": sha}
    await GITHUB.read(Call("create reference", "POST", _repo(name, "/git/refs"), body, expect=(201,)), _Reference)


async def move_branch(name: str, branch: str, sha: str, *, force: bool = False) -> None:
    """Point a branch to another commit."""
    body = {"sha": sha, "force": force}
    call = Call("update reference", "PATCH", _repo(name, f"/git/refs/heads/{branch}"), body)
    moved = (await GITHUB.read(call, _Reference)).object.sha
    if moved != sha:
        raise TransientIntegrationError(
            VendorCall("github", call.operation, 200), f"{branch} is at {moved}, not at {sha}"
        )


async def delete_branch(name: str, branch: str, permit: Permit) -> None:
    """Delete a branch; absent is success (GitHub answers 422 for an unknown reference)."""
    path = _repo(name, f"/git/refs/heads/{branch}")
    await GITHUB.call(Call(f"delete {permit.action.kind}", "DELETE", path, expect=(204, 404, 422)))


async def find_pull(name: str, branch: str) -> PullAnswer | None:
    """The newest pull request of a branch, open or not."""
    params = {"head": f"{owner()}:{branch}", "state": "all", "sort": "created", "direction": "desc"}
    pulls = await GITHUB.read(Call("list pull requests", "GET", _repo(name, "/pulls"), params=params), list[PullAnswer])
    return next((pull for pull in pulls if pull.head.ref == branch), None)


async def create_pull(name: str, *, branch: str, title: str, body: str, draft: bool = False) -> PullAnswer:
    """Propose a branch for ``main``; a draft cannot be merged before a person says that it is ready."""
    document = {"title": title, "head": branch, "base": "main", "body": body, **({"draft": True} if draft else {})}
    return await GITHUB.read(
        Call("create pull request", "POST", _repo(name, "/pulls"), document, expect=(201,)), PullAnswer
    )


async def edit_pull(name: str, number: int, *, title: str, body: str) -> PullAnswer:
    """Say something else about a pull request."""
    call = Call("update pull request", "PATCH", _repo(name, f"/pulls/{number}"), {"title": title, "body": body})
    return await GITHUB.read(call, PullAnswer)


async def read_pull(name: str, number: int) -> PullAnswer:
    """A pull request."""
    return await GITHUB.read(Call("get pull request", "GET", _repo(name, f"/pulls/{number}")), PullAnswer)


async def merge_pull(name: str, number: int, *, commit: str, title: str) -> None:
    """Merge a pull request if its head is still ``commit``; merged already is success.

    Raises:
        ConflictError: the head moved, or the change cannot be merged.
    """
    body = {"sha": commit, "merge_method": "squash", "commit_title": title}
    call = Call("merge pull request", "PUT", _repo(name, f"/pulls/{number}/merge"), body, expect=(200, 405, 409))
    answer = await GITHUB.call(call)
    if answer.status == 200:  # noqa: PLR2004 - HTTP status
        if not GITHUB.shaped(call, answer, _Merged).merged:
            raise TransientIntegrationError(VendorCall("github", call.operation, 200), "the answer says not merged")
        return
    pull = await read_pull(name, number)
    if pull.merged_at is None or pull.head.sha != commit:
        place = VendorCall("github", call.operation, answer.status)
        if pull.state == "open" and pull.head.sha == commit:
            raise TransientIntegrationError(place, f"pull request {number} is not mergeable at this moment")
        raise ConflictError(place, f"pull request {number} cannot be merged at {commit[:12]}")


async def close_pull(name: str, number: int, permit: Permit) -> None:
    """Close a pull request; closed or merged already is success."""
    pull = await read_pull(name, number)
    if pull.state == "open":
        call = Call(f"close {permit.action.kind}", "PATCH", _repo(name, f"/pulls/{number}"), {"state": "closed"})
        await GITHUB.read(call, PullAnswer)


async def set_protection(name: str, checks: list[str]) -> None:
    """Protect ``main``: reviewed pull requests with green checks, for administrators too."""
    body = {
        "required_status_checks": {"strict": True, "contexts": checks},
        "enforce_admins": True,
        "required_pull_request_reviews": {"required_approving_review_count": 1, "require_code_owner_reviews": True},
        "restrictions": None,
    }
    call = Call("update branch protection", "PUT", _repo(name, "/branches/main/protection"), body)

    class Protection(Model):
        url: str

    await GITHUB.read(call, Protection)


async def set_team_permission(name: str, team: str, permission: str) -> None:
    """Give a team access to the repository.

    Raises:
        NotFoundError: the team does not exist; the sentence names it.
    """
    path = f"/orgs/{owner()}/teams/{team}/repos/{owner()}/{name}"
    try:
        await GITHUB.call(Call("add team", "PUT", path, {"permission": permission}, expect=(204,)))
    except NotFoundError as error:
        raise NotFoundError(error.call, f"the GitHub team {team} does not exist") from error
