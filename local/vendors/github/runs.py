"""Workflows and their runs; the Actions stand-in executes them. https://docs.github.com/rest/actions."""

import re

from aiohttp import web

from local.vendors.github.api import ApiError, Json, page, shape
from local.vendors.github.calls import REPO, Call, operation

ACTIONS = f"{REPO}/actions"
RUN, JOB, WORKFLOW = (
    f"{ACTIONS}/runs/{{run:[0-9]+}}",
    f"{ACTIONS}/jobs/{{job:[0-9]+}}",
    f"{ACTIONS}/workflows/{{workflow}}",
)
FOLDER = ".github/workflows"
FILTERS = {"event": "event", "branch": "head_branch", "head_sha": "head_sha", "actor": "actor"}


@operation("GET", f"{ACTIONS}/workflows")
async def list_workflows(call: Call) -> web.Response:
    return page(call.request, await _workflows(call), "workflows")


@operation("GET", WORKFLOW)
async def get_workflow(call: Call) -> Json:
    """The workflow named by id or file name, as it is on the default branch."""
    for workflow in await _workflows(call):
        if call.info["workflow"] in {str(workflow["id"]), workflow["path"].rsplit("/", 1)[-1]}:
            return workflow
    raise ApiError(404, "Not Found")


@operation("POST", f"{WORKFLOW}/dispatches")
async def dispatch(call: Call) -> web.Response | None:
    workflow, ref = await get_workflow(call), str(call.body.get("ref", "")).removeprefix("refs/heads/")
    sha = await call.repository.resolve(ref)
    if sha is None:
        raise ApiError(422, f"No ref found for: {ref}")
    try:
        inputs = call.body.get("inputs") or {}
        run = await call.actions.dispatch(call.repository, workflow["path"], ref, sha, inputs, actor=call.actor)
    except ValueError as error:
        raise ApiError(422, str(error)) from None
    if not (call.body.get("return_run_details") or call.request.headers.get("X-GitHub-Api-Version") == "2026-03-10"):
        return None
    shown = _shape(call, run)
    return web.json_response({"workflow_run_id": run["id"], "run_url": shown["url"], "html_url": shown["html_url"]})


@operation("GET", f"{ACTIONS}/runs", f"{WORKFLOW}/runs", "/repositories/{repository_id}/actions/runs")
async def list_runs(call: Call) -> web.Response:
    runs, path = call.actions.runs(call.repository.id), f"/repositories/{call.repository.id}/actions/runs"
    if "workflow" in call.info:
        path, name = call.request.path, (await get_workflow(call))["path"]
        runs = [run for run in runs if run["path"] == name]
    for parameter, field in FILTERS.items():
        runs = [run for run in runs if call.query.get(parameter, run[field]) == run[field]]
    runs = [run for run in runs if call.query.get("status", run["status"]) in {run["status"], run["conclusion"]}]
    runs = [run for run in runs if _is_created(run["created_at"], call.query.get("created", ""))]
    return page(call.request, [_shape(call, run) for run in runs], "workflow_runs", path)


@operation("GET", RUN)
async def get(call: Call) -> Json:
    return _shape(call, _find(call))


@operation("GET", f"{RUN}/jobs")
async def list_jobs(call: Call) -> web.Response:
    run = _find(call)
    return page(call.request, [_shape_job(call, run, job) for job in call.actions.jobs(run["id"])], "jobs")


@operation("GET", f"{RUN}/logs")
async def get_logs(call: Call) -> web.Response:
    return web.Response(status=302, headers={"Location": call.actions.log_url(_find(call)["id"])})


@operation("GET", JOB)
async def get_job(call: Call) -> Json:
    return _shape_job(call, *_find_job(call))


@operation("GET", f"{JOB}/logs")
async def get_job_log(call: Call) -> web.Response:
    run, job = _find_job(call)
    return web.Response(status=302, headers={"Location": call.actions.log_url(run["id"], job["id"])})


@operation("POST", f"{RUN}/cancel")
async def cancel(call: Call) -> web.Response:
    run = _find(call)
    if run["status"] == "completed":
        raise ApiError(409, "Cannot cancel a workflow run that is completed.")
    call.actions.cancel(run["id"])
    return web.json_response({}, status=202)


@operation("GET", f"{REPO}/commits/{{ref}}/check-runs")
async def list_check_runs(call: Call) -> web.Response:
    """The jobs of all workflow runs of a commit; a skipped job is a check run, too."""
    sha = await call.repository.resolve(call.info["ref"])
    if sha is None:
        raise ApiError(422, f"No commit found for SHA: {call.info['ref']}")
    runs = [run for run in call.actions.runs(call.repository.id) if run["head_sha"] == sha]
    found = [_check_run(call, run, job) for run in runs for job in call.actions.jobs(run["id"])]
    wanted = call.query.get("check_name")
    return page(call.request, [run for run in found if wanted in (None, run["name"])], "check_runs")


def _check_run(call: Call, run: Json, job: Json) -> Json:
    kept = {name: job[name] for name in ("id", "name", "status", "conclusion", "started_at", "completed_at")}
    name = call.repository.full_name
    return kept | {
        "node_id": f"CR_{job['id']}",
        "head_sha": run["head_sha"],
        "external_id": job["key"],
        "url": f"https://api.github.com/repos/{name}/check-runs/{job['id']}",
        "html_url": f"https://github.com/{name}/actions/runs/{run['id']}/job/{job['id']}",
        "check_suite": {"id": run["id"]},
        "app": {"id": 15368, "slug": "github-actions", "name": "GitHub Actions"},
        "output": {"title": None, "summary": None, "text": None, "annotations_count": 0},
        "pull_requests": [],
    }


def _find(call: Call) -> Json:
    run: Json | None = call.actions.run(int(call.info["run"]))
    if run is None or run["repository_id"] != call.repository.id:
        raise ApiError(404, "Not Found")
    return run


def _find_job(call: Call) -> tuple[Json, Json]:
    for run in call.actions.runs(call.repository.id):
        for job in call.actions.jobs(run["id"]):
            if str(job["id"]) == call.info["job"]:
                return run, job
    raise ApiError(404, "Not Found")


async def _workflows(call: Call) -> list[Json]:
    repository = call.repository
    head = await repository.resolve(repository.document["default_branch"])
    paths = await repository.folder(head, FOLDER) if head else []
    names = {p: await call.actions.workflow_name(repository, head, p) for p in paths if p.endswith((".yml", ".yaml"))}
    facts = repository.facts | {"created_at": repository.document["created_at"]}
    return [
        shape("workflow", facts | {"path": path, "name": name, "workflow_id": _number(call, path)})
        for path, name in names.items()
    ]


def _number(call: Call, path: str) -> int:
    return call.repository.id * 1000 + sum(path.encode()) % 1000


def _is_created(at: str, wanted: str) -> bool:
    """GitHub's date filter: `x`, `>=x`, `<=x`, `>x`, `<x` or `x..y` (also with `*`), as exact as it is written."""
    first, dots, last = wanted.partition("..")
    if dots:
        return all(_is_created(at, sign + end) for sign, end in ((">=", first), ("<=", last)) if end != "*")
    sign, value = re.match(r"([<>]?=?)(.*)", wanted.replace("+00:00", "Z")).groups()  # type: ignore[union-attr]
    cut = at[: len(value)]
    return {">=": cut >= value, "<=": cut <= value, ">": cut > value, "<": cut < value}.get(sign, cut == value)


def _shape(call: Call, run: Json) -> Json:
    more = {"workflow_id": _number(call, run["path"]), "repository": call.repository.shape()}
    return shape("run", call.repository.facts | run | more)


def _shape_job(call: Call, run: Json, job: Json) -> Json:
    of_run = {name: run[name] for name in ("run_attempt", "head_sha", "head_branch")}
    return shape("job", call.repository.facts | job | of_run | {"run_id": run["id"], "workflow_name": run["name"]})
