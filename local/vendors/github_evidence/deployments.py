"""Deployments with their statuses. https://docs.github.com/rest/deployments.

A job with an environment leaves a deployment by itself; its payload is empty. What a job reports through the API comes
on top.
"""

from typing import Any

from aiohttp import web

from local.vendors.github.api import ApiError, Json, now, page

from .evidence import Call

STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
OF_JOBS = {"success": "success", "failure": "failure", "cancelled": "error", "skipped": "inactive"}


async def listing(call: Call) -> web.Response:
    """Newest first; `sha`, `ref`, `task` and `environment` narrow the list."""
    found = [*call.all("deployment/"), *_of_jobs(call)]
    for name in ("sha", "ref", "task", "environment"):
        found = [item for item in found if call.request.query.get(name, item[name]) == item[name]]
    found.sort(key=lambda item: (item["created_at"], item["id"]), reverse=True)
    return page(call.request, [_shown(item) for item in found])


async def create(call: Call) -> web.Response:
    ref = str(call.body.get("ref", ""))
    sha = await call.repository.resolve(ref)
    if not ref or sha is None:
        raise ApiError(422, f"No ref found for: {ref}")
    if call.body.get("required_contexts") is None and _unfinished(call, sha):
        raise ApiError(409, "Conflict: Commit status checks failed for " + ref)
    number = (call.store.get(call.key("counter")) or 3_000_000_000) + 1
    call.store.put(call.key("counter"), number)
    document = _document(call, number, sha, call.actor) | {
        "ref": ref,
        "task": call.body.get("task", "deploy"),
        "environment": call.body.get("environment", "production"),
        "payload": call.body.get("payload", {}),
        "production_environment": bool(
            call.body.get("production_environment", call.body.get("environment") == "production")
        ),
    }
    call.store.put(call.key(f"deployment/{number}"), document)
    return web.json_response(_shown(document), status=201)


async def get(call: Call) -> web.Response:
    return web.json_response(_shown(_find(call)))


async def statuses(call: Call) -> web.Response:
    """Newest first."""
    return page(call.request, _find(call)["statuses"])


async def set_status(call: Call) -> web.Response:
    found, state = _find(call), str(call.body.get("state", ""))
    if state not in STATES:
        raise ApiError(422, "Validation Failed", resource="DeploymentStatus", code="custom", field="state")
    stored = call.store.get(call.key(f"deployment/{found['id']}"))
    if stored is None:
        raise ApiError(422, "Validation Failed", resource="DeploymentStatus", code="custom", field="deployment")
    status = _status(call, stored, state, now(), call.body)
    others = [item for item in call.all("deployment/") if item["environment"] == stored["environment"]]
    with call.store.transaction():
        call.store.put(call.key(f"deployment/{stored['id']}"), stored | {"statuses": [status, *stored["statuses"]]})
        if state == "success" and call.body.get("auto_inactive", True):
            for other in others:
                _retire(call, other, stored["id"])
    return web.json_response(status, status=201)


def _find(call: Call) -> Json:
    number = int(call.request.match_info["deployment"])
    for item in [*call.all("deployment/"), *_of_jobs(call)]:
        if item["id"] == number:
            return item
    raise ApiError(404, "Not Found")


def _of_jobs(call: Call) -> list[Json]:
    found = []
    for run, job in call.jobs():
        if not job["environment"]:
            continue
        document = _document(call, job["id"], run["head_sha"], "github-actions[bot]", job["created_at"])
        document |= {"ref": run["head_branch"], "environment": job["environment"], "payload": {}}
        state = OF_JOBS.get(job["conclusion"] or "", "in_progress" if job["status"] == "in_progress" else "queued")
        at = job["completed_at"] or job["started_at"]
        found.append(document | {"statuses": [_status(call, document, state, at, {})]})
    return found


def _document(call: Call, number: int, sha: str, actor: str, at: str = "") -> Json:
    url = f"{call.url}/deployments/{number}"
    return {
        "id": number,
        "node_id": f"DE_{number}",
        "sha": sha,
        "task": "deploy",
        "description": None,
        "creator": {"login": actor, "type": "Bot"},
        "created_at": at or now(),
        "updated_at": at or now(),
        "url": url,
        "statuses_url": f"{url}/statuses",
        "repository_url": call.url,
        "transient_environment": False,
        "production_environment": False,
        "statuses": [],
    }


def _status(call: Call, deployment: Json, state: str, at: str, sent: Json) -> Json:
    number = deployment["id"] * 100 + len(deployment.get("statuses", [])) + 1
    links = {name: sent.get(name, "") for name in ("environment_url", "log_url", "target_url")}
    return links | {
        "id": number,
        "node_id": f"DS_{number}",
        "state": state,
        "description": str(sent.get("description", ""))[:140],
        "environment": deployment.get("environment", ""),
        "creator": {"login": call.actor, "type": "Bot"},
        "created_at": at,
        "updated_at": at,
        "url": f"{deployment['url']}/statuses/{number}",
        "deployment_url": deployment["url"],
        "repository_url": call.url,
    }


def _retire(call: Call, other: Json, newer: int) -> None:
    """Earlier successes of an environment that is not for production become inactive."""
    current = other["statuses"][0]["state"] if other["statuses"] else ""
    if other["id"] != newer and current == "success" and not other["production_environment"]:
        gone = _status(call, other, "inactive", now(), {})
        call.store.put(call.key(f"deployment/{other['id']}"), other | {"statuses": [gone, *other["statuses"]]})


def _unfinished(call: Call, sha: str) -> bool:
    return any(job["conclusion"] != "success" for run, job in call.jobs() if run["head_sha"] == sha)


def _shown(document: Json) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "statuses"}
