"""GitHub issues: what somebody has to look at, in the application's own repository.

Documentation: https://docs.github.com/rest/issues/issues
"""

import itertools

from shared.clients._github import GITHUB, owner
from shared.clients._http import Call
from shared.guard import Permit
from shared.models import Model

_PAGE = 100


class IssueAnswer(Model):
    """The part of an issue that we rely on; GitHub writes snake_case, and lists pull requests as issues, too."""

    model_config = {**Model.model_config, "alias_generator": None}

    number: int
    html_url: str
    state: str
    title: str
    body: str | None = None


class _User(Model):
    type: str


class CommentAnswer(Model):
    """The part of a comment that we rely on."""

    id: int
    body: str | None = None
    user: _User | None = None


def _repo(name: str, rest: str) -> str:
    return f"/repos/{owner()}/{name}/issues{rest}"


async def find_issues(name: str, label: str, marker: str) -> list[IssueAnswer]:
    """The issues with a label whose text holds a marker, oldest first, open or not."""
    found: list[IssueAnswer] = []
    for page in itertools.count(1):
        params = {"labels": label, "state": "all", "per_page": f"{_PAGE}", "page": f"{page}"}
        listed = await GITHUB.read(Call("list issues", "GET", _repo(name, ""), params=params), list[IssueAnswer])
        found += [issue for issue in listed if marker in (issue.body or "")]
        if len(listed) < _PAGE:
            break
    return sorted(found, key=lambda issue: issue.number)


async def create_issue(name: str, *, title: str, body: str, labels: list[str]) -> IssueAnswer:
    """Open an issue; a label that does not exist yet is made."""
    document = {"title": title, "body": body, "labels": labels}
    return await GITHUB.read(Call("create issue", "POST", _repo(name, ""), document, expect=(201,)), IssueAnswer)


async def set_issue_state(name: str, number: int, state: str, reason: str | None = None) -> IssueAnswer:
    """Close an issue or open it again; ``reason`` is completed, not_planned or reopened."""
    document = {"state": state, **({"state_reason": reason} if reason else {})}
    return await GITHUB.read(Call("update issue", "PATCH", _repo(name, f"/{number}"), document), IssueAnswer)


async def find_comments(name: str, number: int, marker: str) -> list[CommentAnswer]:
    """The comments on an issue or a pull request that an App wrote and that hold a marker, oldest first."""
    found: list[CommentAnswer] = []
    for page in itertools.count(1):
        params = {"per_page": f"{_PAGE}", "page": f"{page}"}
        call = Call("list comments", "GET", _repo(name, f"/{number}/comments"), params=params)
        listed = await GITHUB.read(call, list[CommentAnswer])
        ours = [comment for comment in listed if comment.user is not None and comment.user.type == "Bot"]
        found += [comment for comment in ours if marker in (comment.body or "")]
        if len(listed) < _PAGE:
            break
    return sorted(found, key=lambda comment: comment.id)


async def create_comment(name: str, number: int, text: str) -> None:
    """Say something on an issue or a pull request."""
    call = Call("create comment", "POST", _repo(name, f"/{number}/comments"), {"body": text}, expect=(201,))
    await GITHUB.read(call, CommentAnswer)


async def delete_comment(name: str, comment: int, permit: Permit) -> None:
    """Take a comment away; absent is success."""
    path = _repo(name, f"/comments/{comment}")
    await GITHUB.call(Call(f"delete comment on {permit.action.kind}", "DELETE", path, expect=(204, 404)))


async def add_labels(name: str, number: int, labels: list[str]) -> None:
    """Label an issue or a pull request; labels that are there stay."""

    class Label(Model):
        name: str

    call = Call("add labels", "POST", _repo(name, f"/{number}/labels"), {"labels": labels})
    await GITHUB.read(call, list[Label])
