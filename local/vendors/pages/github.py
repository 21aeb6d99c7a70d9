"""Repositories, pull requests, commits, files and workflow runs."""

from typing import Any
from urllib.parse import quote

from local.vendors.github.api import ORGANISATION
from local.vendors.github.repository import Repository
from local.vendors.kernel import Kernel

from .sheet import Link, Rows, Sheet

type Json = dict[str, Any]

NEWEST = 10


async def repository(kernel: Kernel, name: str) -> Sheet | None:
    """With its newest commits, pull requests and runs, and the files of its default branch."""
    if not (found := _find(kernel, name)):
        return None
    branch = found.document["default_branch"]
    head = await found.resolve(branch)
    files = await found.entries(head, "-r") if head else []
    kept = [each for _, each in kernel.store("github").list(f"of/{found.id}/pulls/")][: -NEWEST - 1 : -1]
    tables: dict[str, Rows] = {
        "Pull requests": [[_to(found, f"/pull/{p['number']}", p["title"]), await _state(found, p)] for p in kept],
        "Runs": _runs(kernel, found),
        "Commits": await _log(found, head) if head else [],
        "Files": [[_to(found, f"/blob/{branch}/{file['path']}", file["path"])] for file in files],
    }
    about = {name.capitalize(): found.document[name] for name in ("description", "visibility")}
    return Sheet("Repository", found.full_name, about | found.document["properties"], tables=tables)


async def pull(kernel: Kernel, name: str, number: str) -> Sheet | None:
    """With its text, files and runs."""
    found = _find(kernel, name)
    if not found or not (kept := kernel.store("github").get(f"of/{found.id}/pulls/{number:0>8}")):
        return None
    facts = {"Repository": _to(found), "State": await _state(found, kept), "By": kept["actor"]}
    facts |= {"From": kept["head"], "Into": kept["base"], "Opened": kept["created_at"], "Merged": kept["merged_at"]}
    if sha := kept["merge_commit_sha"]:
        facts["Merge commit"] = _to(found, f"/commit/{sha}", sha[:12])
    files = await found.text("diff", "--name-only", "-z", f"{kept['base_sha']}...{kept['head_sha']}")
    tables = {"Changed files": _names(files), "Runs": _runs(kernel, found, kept["head_sha"])}
    return Sheet(f"Pull request #{kept['number']}", str(kept["title"]), facts, kept["body"] or "", tables)


async def commit(kernel: Kernel, name: str, wanted: str) -> Sheet | None:
    """With its message, files and runs."""
    found = _find(kernel, name)
    sha = await found.resolve(wanted) if found else None
    if not found or not sha:
        return None
    author, at, message = (await found.text("show", "-s", "--format=%an%x00%cI%x00%B", sha)).split("\0")
    files = await found.text("show", "--format=", "--name-only", "-z", "--diff-merges=first-parent", sha)
    tables = {"Changed files": _names(files), "Runs": _runs(kernel, found, sha)}
    return Sheet("Commit", sha[:12], {"Repository": _to(found), "By": author, "At": at}, message, tables)


async def file(kernel: Kernel, name: str, branch: str, path: str) -> Sheet | None:
    """As it is on a branch, or in a commit."""
    found = _find(kernel, name)
    sha = await found.resolve(branch) if found else None
    content = await found.read(sha, path) if found and sha else None
    if not found or content is None:
        return None
    return Sheet(f"File on {branch}", path, {"Repository": _to(found)}, content.decode(errors="replace"))


async def run(kernel: Kernel, name: str, number: str) -> Sheet | None:
    """With its jobs, their logs and their steps."""
    found, actions = _find(kernel, name), kernel.vendor("actions")
    kept = actions.run(int(number)) if found else None
    if not found or kept is None or kept["repository_id"] != found.id:
        return None
    sha, jobs = kept["head_sha"], actions.jobs(kept["id"])
    facts = {"Repository": _to(found), "Workflow": kept["name"], "State": _ended(kept), "By": kept["actor"]}
    facts |= {"Event": kept["event"], "At": kept["created_at"], "Commit": _to(found, f"/commit/{sha}", sha[:12])}
    tables = {"Jobs": [[Link(job["name"], actions.log_url(kept["id"], job["id"])), _ended(job)] for job in jobs]}
    tables |= {f"Steps of {job['name']}": [[step["name"], _ended(step)] for step in job["steps"]] for job in jobs}
    return Sheet(f"Workflow run {kept['run_number']}", kept["display_title"], facts, tables=tables)


def _find(kernel: Kernel, name: str) -> Repository | None:
    found: Repository | None = kernel.vendor("github").repository(ORGANISATION, name)
    return found


def _to(found: Repository, path: str = "", text: str = "") -> Link:
    return Link(text or found.full_name, f"https://github.com/{found.full_name}{quote(path)}")


async def _state(found: Repository, kept: Json) -> str:
    """As the API says it: an open one is merged as soon as its base contains its head."""
    if kept["state"] != "open":
        return "merged" if kept["merged_at"] else "closed"
    refs = await found.refs()
    head, base = (refs.get(f"refs/heads/{kept[end]}", str(kept[f"{end}_sha"])) for end in ("head", "base"))
    return "merged" if await found.is_ancestor(head, base) else "open"


async def _log(found: Repository, head: str) -> Rows:
    lines = (await found.text("log", f"-{NEWEST}", "--format=%H%x00%cs%x00%an%x00%s", head)).split("\n")
    return [[_to(found, f"/commit/{sha}", sha[:12]), *more] for sha, *more in (line.split("\0") for line in lines)]


def _runs(kernel: Kernel, found: Repository, sha: str = "") -> Rows:
    """The newest runs, of one commit or of all."""
    kept = [run for run in kernel.vendor("actions").runs(found.id) if sha in ("", run["head_sha"])][:NEWEST]
    return [[_to(found, f"/actions/runs/{run['id']}", run["display_title"]), run["name"], _ended(run)] for run in kept]


def _ended(kept: Json) -> str:
    return str(kept["conclusion"] or kept["status"])


def _names(listing: str) -> Rows:
    return [[name] for name in listing.split("\0") if name]
