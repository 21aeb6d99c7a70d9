"""GitHub issues: opened, listed, closed and opened again. Numbers are shared with pull requests, as at GitHub.

https://docs.github.com/rest/issues/issues
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
OURS = re.compile(r"/repos/[^/]+/[^/]+/issues(/\d+(/labels)?)?$")


class Labels:
    """What pull requests show of their labels: they are issues with these."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def labels(self, repository: Any, number: int) -> list[Json]:
        found: list[Json] | None = self._store.get(f"{repository.id}/labels/{number:08}")
        return found or []


def build(kernel: Kernel) -> Vendor:
    evidence = Evidence(kernel, "github_issues")
    one = f"{REPO}/issues/{{number:[0-9]+}}"
    table = {
        ("GET", f"{REPO}/issues"): _listing,
        ("POST", f"{REPO}/issues"): _create,
        ("GET", one): _get,
        ("PATCH", one): _edit,
        ("POST", f"{one}/labels"): _add_labels,
    }
    routes = [web.route(method, path, evidence.handler(work)) for (method, path), work in table.items()]
    takes = lambda request: host_of(request) == "api.github.com" and OURS.match(request.path) is not None  # noqa: E731
    return Vendor("github_issues", (), routes, public=Labels(kernel.store("github_issues")), takes=takes)


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
        "user": shape("pull", {"actor": call.actor})["user"],
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
