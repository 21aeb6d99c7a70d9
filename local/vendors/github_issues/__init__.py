"""GitHub issues: opened, listed, closed and opened again. Numbers are shared with pull requests, as at GitHub.

Comments on both, and what people say in reviews of pull requests.

https://docs.github.com/rest/issues/issues, /rest/issues/comments, /rest/pulls/reviews
"""

import re
import zlib
from typing import Any

from aiohttp import web

from local.vendors.github.api import ApiError, Json, body, now, page, shape
from local.vendors.github_evidence.evidence import Call, Evidence
from local.vendors.kernel import Kernel, Store, Vendor
from local.vendors.kernel.vendor import host_of

REPO = "/repos/{owner}/{repo}"
OURS = re.compile(r"/repos/[^/]+/[^/]+/(issues(/\d+(/labels|/comments)?|/comments/\d+)?|pulls/\d+/reviews)$")


class Said:
    """What pull requests show of their labels (they are issues with these), and who approved them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def labels(self, repository: Any, number: int) -> list[Json]:
        found: list[Json] | None = self._store.get(f"{repository.id}/labels/{number:08}")
        return found or []

    def approved(self, repository: Any, pull: Json) -> bool:
        """Whether somebody else than the author approved it."""
        found = [review for _, review in self._store.list(f"{repository.id}/review/{pull['number']:08}/")]
        return any(review["state"] == "APPROVED" and review["user"]["login"] != pull["actor"] for review in found)


def build(kernel: Kernel) -> Vendor:
    evidence = Evidence(kernel, "github_issues")
    one = f"{REPO}/issues/{{number:[0-9]+}}"
    table = {
        ("GET", f"{REPO}/issues"): _listing,
        ("POST", f"{REPO}/issues"): _create,
        ("GET", one): _get,
        ("PATCH", one): _edit,
        ("POST", f"{one}/labels"): _add_labels,
        ("GET", f"{one}/comments"): _comments,
        ("POST", f"{one}/comments"): _comment,
        ("DELETE", f"{REPO}/issues/comments/{{comment:[0-9]+}}"): _delete_comment,
        ("POST", f"{REPO}/pulls/{{number:[0-9]+}}/reviews"): _review,
    }
    routes = [web.route(method, path, evidence.handler(work)) for (method, path), work in table.items()]
    takes = lambda request: host_of(request) == "api.github.com" and OURS.match(request.path) is not None  # noqa: E731
    return Vendor("github_issues", (), routes, public=Said(kernel.store("github_issues")), takes=takes)


async def _listing(call: Call) -> web.Response:
    query = call.request.query
    state, labels = query.get("state", "open"), {name for name in query.get("labels", "").split(",") if name}
    if state not in {"open", "closed", "all"}:
        raise ApiError(422, "Validation Failed", resource="Issue", field="state", code="invalid")
    found = [
        issue
        for issue in reversed(call.all("issue/"))
        if state in {"all", issue["state"]} and labels <= {label["name"] for label in issue["labels"]}
    ]
    return page(call.request, found)


async def _create(call: Call) -> web.Response:
    if not isinstance(call.body.get("title"), str) or not call.body["title"]:
        raise ApiError(422, "Validation Failed", resource="Issue", field="title", code="missing_field")
    number = call.kernel.vendor("github").next_number(call.repository)
    place, shown = f"{call.url}/issues/{number}", f"https://github.com/{call.repository.full_name}/issues/{number}"
    issue: Json = {"id": call.repository.id * 1000 + number, "node_id": f"I_{number}", "number": number, "url": place}
    issue |= {"html_url": shown, "repository_url": call.url, "title": call.body["title"]}
    issue |= {
        "body": call.body.get("body"),
        "labels": [_label(call, str(name)) for name in call.body.get("labels", [])],
    }
    issue |= {f"{name}_url": f"{place}/{name}" for name in ("comments", "events")}
    issue |= {
        "labels_url": f"{place}/labels{{/name}}",
        "user": _user(call),
        "state": "open",
        "state_reason": None,
    }
    issue |= {"locked": False, "comments": 0, "assignee": None, "assignees": [], "milestone": None}
    issue |= {"author_association": "NONE", "created_at": now(), "updated_at": now(), "closed_at": None}
    return web.json_response(_save(call, issue), status=201)


async def _add_labels(call: Call) -> web.Response:
    """Labels of an issue or of a pull request: added, never twice."""
    number = int(call.request.match_info["number"])
    wanted = [_label(call, str(name)) for name in call.body.get("labels", [])]
    issue: Json | None = call.store.get(call.key(f"issue/{number:08}"))
    if issue is not None:
        issue["labels"] = _united(issue["labels"], wanted)
        return web.json_response(_save(call, issue)["labels"])
    if not call.kernel.vendor("github").has_pull(call.repository, number):
        raise ApiError(404, "Not Found")
    key = call.key(f"labels/{number:08}")
    call.store.put(key, _united(call.store.get(key) or [], wanted))
    return web.json_response(call.store.get(key))


def _user(call: Call) -> Json:
    """Who calls: an App, or a person."""
    user: Json = shape("pull", {"actor": call.actor})["user"]
    return user if call.actor.endswith("[bot]") else user | {"type": "User"}


def _known(call: Call) -> int:
    """The number of an issue or a pull request that is there."""
    number = int(call.request.match_info["number"])
    issue = call.store.get(call.key(f"issue/{number:08}"))
    if issue is None and not call.kernel.vendor("github").has_pull(call.repository, number):
        raise ApiError(404, "Not Found")
    return number


async def _comments(call: Call) -> web.Response:
    return page(call.request, call.all(f"comment/{_known(call):08}/"))


async def _comment(call: Call) -> web.Response:
    number = _known(call)
    if not isinstance(call.body.get("body"), str) or not call.body["body"].strip():
        raise ApiError(422, "Validation Failed", resource="IssueComment", field="body", code="missing_field")
    identifier = len(call.all("comment/")) + len(call.all("gone/")) + 1
    place, shown = f"{call.url}/issues", f"https://github.com/{call.repository.full_name}/issues/{number}"
    comment: Json = {"id": identifier, "node_id": f"IC_{identifier}", "url": f"{place}/comments/{identifier}"}
    comment |= {"html_url": f"{shown}#issuecomment-{identifier}", "issue_url": f"{place}/{number}"}
    comment |= {"body": call.body["body"], "user": _user(call), "author_association": "NONE"}
    comment |= {"created_at": now(), "updated_at": now()}
    call.store.put(call.key(f"comment/{number:08}/{identifier:08}"), comment)
    return web.json_response(comment, status=201)


async def _delete_comment(call: Call) -> web.Response:
    wanted = int(call.request.match_info["comment"])
    found = next((item for item in call.all("comment/") if item["id"] == wanted), None)
    if found is None:
        raise ApiError(404, "Not Found")
    number = int(found["issue_url"].rpartition("/")[2])
    call.store.delete(call.key(f"comment/{number:08}/{wanted:08}"))
    call.store.put(call.key(f"gone/{wanted:08}"), {})
    return web.Response(status=204)


async def _review(call: Call) -> web.Response:
    states = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}
    number, event = _known(call), str(call.body.get("event"))
    if event not in states:
        raise ApiError(422, "Validation Failed", resource="PullRequestReview", field="event", code="invalid")
    identifier = len(call.all("review/")) + 1
    shown, place = f"https://github.com/{call.repository.full_name}/pull/{number}", f"{call.url}/pulls/{number}"
    review: Json = {"id": identifier, "node_id": f"PRR_{identifier}", "user": _user(call), "state": states[event]}
    review |= {"html_url": f"{shown}#pullrequestreview-{identifier}", "pull_request_url": place}
    review |= {"body": str(call.body.get("body", "")), "author_association": "MEMBER", "submitted_at": now()}
    review |= {"commit_id": call.body.get("commit_id")}
    review["_links"] = {"html": {"href": shown}, "pull_request": {"href": place}}
    call.store.put(call.key(f"review/{number:08}/{identifier:08}"), review)
    return web.json_response(review)


def _united(present: list[Json], wanted: list[Json]) -> list[Json]:
    return list({label["name"]: label for label in [*present, *wanted]}.values())


async def _get(call: Call) -> web.Response:
    return web.json_response(_find(call))


async def _edit(call: Call) -> web.Response:
    issue, wanted = _find(call), await body(call.request)
    state = wanted.get("state", issue["state"])
    if state not in {"open", "closed"}:
        raise ApiError(422, "Validation Failed", resource="Issue", field="state", code="invalid")
    if state != issue["state"]:
        usual = "completed" if state == "closed" else "reopened"
        issue["closed_at"] = now() if state == "closed" else None
        issue["state_reason"] = wanted.get("state_reason") or usual
    issue |= {key: wanted[key] for key in ("title", "body", "state") if key in wanted}
    return web.json_response(_save(call, issue | {"updated_at": now()}))


def _find(call: Call) -> Json:
    found: Json | None = call.store.get(call.key(f"issue/{int(call.request.match_info['number']):08}"))
    if found is None:
        raise ApiError(404, "Not Found")
    return found


def _save(call: Call, issue: Json) -> Json:
    call.store.put(call.key(f"issue/{issue['number']:08}"), issue)
    return issue


def _label(call: Call, name: str) -> Json:
    facts: Json = {"id": zlib.crc32(name.encode()), "node_id": f"LA_{name}", "url": f"{call.url}/labels/{name}"}
    return facts | {"name": name, "color": "ededed", "default": False, "description": None}
