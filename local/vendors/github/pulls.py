"""Pull requests. https://docs.github.com/rest/pulls.

The document keeps what was decided; heads and merges are read from git each time.
"""

from aiohttp import web

from local.vendors.github.api import ORGANISATION, ApiError, Json, now, page, shape
from local.vendors.github.calls import REPO, Call, operation
from local.vendors.github.repository import GitError

PULLS = f"{REPO}/pulls"
ONE = f"{PULLS}/{{number:[0-9]+}}"
STATUS = {"A": "added", "D": "removed", "M": "modified", "T": "changed"}


@operation("POST", PULLS)
async def create(call: Call) -> Json:
    repository, wanted = call.repository, call.body
    base, head = str(wanted.get("base")), str(wanted.get("head")).split(":")[-1]
    refs = await repository.refs()
    for field, name in (("base", base), ("head", head)):
        if f"refs/heads/{name}" not in refs:
            raise ApiError(422, "Validation Failed", resource="PullRequest", field=field, code="invalid")
    head_sha, base_sha = refs[f"refs/heads/{head}"], refs[f"refs/heads/{base}"]
    if await repository.is_ancestor(head_sha, base_sha):
        raise _refused(f"No commits between {base} and {head}")
    if any((p["state"], p["head"], p["base"]) == ("open", head, base) for p in call.all("pulls/")):
        raise _refused(f"A pull request already exists for {ORGANISATION}:{head}.")
    number = call.hosting.next_id(f"pulls/{repository.id}")
    pull = {"number": number, "id": repository.id * 1000 + number, "state": "open", "head": head, "base": base}
    pull |= {"title": wanted.get("title"), "body": wanted.get("body"), "draft": bool(wanted.get("draft"))}
    pull |= {"head_sha": head_sha, "base_sha": base_sha, "created_at": now(), "actor": call.actor}
    pull |= dict.fromkeys(("closed_at", "merged_at", "merge_commit_sha"))
    await repository.git("update-ref", f"refs/pull/{number}/head", head_sha)
    shown = _shape(call, _save(call, pull))
    event = {"action": "opened", "number": number, "pull_request": shown}
    await call.actions.event(repository, "pull_request", f"refs/pull/{number}/merge", head_sha, event, actor=call.actor)
    return shown


@operation("GET", PULLS, "/repositories/{repository_id}/pulls")
async def list_pulls(call: Call) -> web.Response:
    state, head, base = (
        call.query.get(name, default) for name, default in (("state", "open"), ("head", ""), ("base", ""))
    )
    found = [await _refresh(call, pull) for pull in reversed(call.all("pulls/"))]
    shown = [
        _shape(call, pull)
        for pull in found
        if state in {"all", pull["state"]} and head.split(":")[-1] in {"", pull["head"]} and base in {"", pull["base"]}
    ]
    return page(call.request, shown, path=f"/repositories/{call.repository.id}/pulls")


@operation("GET", ONE)
async def get(call: Call) -> Json:
    return _shape(call, await _find(call))


@operation("PATCH", ONE)
async def edit(call: Call) -> Json:
    pull, state = await _find(call), call.body.get("state")
    if state == "open" and pull["merged_at"]:
        raise ApiError(422, "Validation Failed", resource="PullRequest", field="state", code="invalid")
    if state in {"open", "closed"} and state != pull["state"]:
        pull["closed_at"] = now() if state == "closed" else None
    pull |= {key: value for key, value in call.body.items() if key in {"title", "body", "state", "base"}}
    return _shape(call, _save(call, pull))


@operation("GET", f"{ONE}/files")
async def list_files(call: Call) -> web.Response:
    pull, git = await _find(call), call.repository.git
    base = await call.repository.text("merge-base", pull["base_sha"], pull["head_sha"])
    spread = f"{base}..{pull['head_sha']}"
    raw = (await git("diff", "--raw", "--no-renames", "--abbrev=40", "-z", spread)).decode().split("\0")
    counts = (await git("diff", "--numstat", "--no-renames", "-z", spread)).decode().split("\0")
    found = []
    for facts, path, count in zip(raw[0:-1:2], raw[1::2], counts, strict=False):
        _, _, old, new, status = facts.split()
        added, deleted = (int(n) if n != "-" else 0 for n in count.split("\t")[:2])
        patch = (await git("diff", spread, "--", path)).decode(errors="replace").rstrip("\n")
        file: Json = {"filename": path, "sha": old if status == "D" else new, "status": STATUS[status]}
        file |= {"additions": added, "deletions": deleted, "changes": added + deleted}
        file["patch"] = patch[patch.find("@@") :]
        found.append(shape("file", call.repository.facts | pull | file))
    return page(call.request, found)


@operation("GET", f"{ONE}/merge")
async def is_merged(call: Call) -> None:
    if not (await _find(call))["merged_at"]:
        raise ApiError(404, "Not Found")


@operation("PUT", f"{ONE}/merge")
async def merge(call: Call) -> Json:
    repository, pull, wanted = call.repository, await _find(call), call.body
    base, head = pull["base_sha"], pull["head_sha"]
    if pull["state"] == "closed" or pull["draft"]:
        raise ApiError(405, "Pull Request is not mergeable")
    if wanted.get("sha", head) != head:
        raise ApiError(409, "Head branch was modified. Review and try the merge again.")
    rules = call.hosting.store.get(call.key(f"protection/{pull['base']}")) or {}
    said = call.hosting.kernel.vendor("github_issues")
    needed = (rules.get("required_pull_request_reviews") or {}).get("required_approving_review_count")
    if needed and not said.approved(repository, pull):
        raise ApiError(405, "At least 1 approving review is required by reviewers with write access.")
    try:
        tree = (await repository.text("merge-tree", "--write-tree", base, head)).splitlines()[0]
    except GitError:
        raise ApiError(405, "Pull Request is not mergeable") from None
    joins = wanted.get("merge_method", "merge") == "merge"
    usual = f"Merge pull request #{pull['number']} from {ORGANISATION}/{pull['head']}"
    title = wanted.get("commit_title") or (usual if joins else f"{pull['title']} (#{pull['number']})")
    message = f"{title}\n\n{wanted.get('commit_message') or (pull['title'] if joins else '')}".rstrip()
    # Rebasing is made like squashing: one commit on top of the base.
    sha = await repository.commit(tree, [base, head] if joins else [base], message)
    try:
        await repository.update(f"refs/heads/{pull['base']}", sha, base)
    except GitError:
        raise ApiError(409, "Base branch was modified. Review and try the merge again.") from None
    merged = {"state": "closed", "merged_at": now(), "closed_at": now(), "merge_commit_sha": sha}
    _save(call, pull | merged | {"merger": call.actor})
    await call.hosting.moved(repository, f"refs/heads/{pull['base']}", base, sha, call.actor)
    return {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}


def _save(call: Call, pull: Json) -> Json:
    return call.put(f"pulls/{pull['number']:08}", pull | {"updated_at": now()})


def _shape(call: Call, pull: Json) -> Json:
    merged = bool(pull["merged_at"])
    by = shape("pull", {"actor": pull.get("merger") or pull["actor"]})["user"]
    by |= {} if by["login"].endswith("[bot]") else {"type": "User"}
    state = {
        "merged": merged,
        "merged_by": by if merged else None,
        "mergeable": None if merged else True,
        "repository": call.repository.shape(),
    }
    state |= {"labels": call.hosting.kernel.vendor("github_issues").labels(call.repository, pull["number"])}
    return shape("pull", call.repository.facts | pull | state)


async def _find(call: Call) -> Json:
    return await _refresh(call, call.get(f"pulls/{call.info['number']:0>8}"))


async def _refresh(call: Call, pull: Json) -> Json:
    """An open pull request follows its branches; it counts as merged as soon as the base contains its head.

    That is GitHub's rule, and it also completes a merge that was cut off between git and the document.
    """
    if pull["state"] == "open":
        refs = await call.repository.refs()
        for end in ("head", "base"):
            pull[f"{end}_sha"] = refs.get(f"refs/heads/{pull[end]}", pull[f"{end}_sha"])
        if await call.repository.is_ancestor(pull["head_sha"], pull["base_sha"]):
            merged = {"merged_at": now(), "closed_at": now(), "merge_commit_sha": pull["base_sha"]}
            return _save(call, pull | {"state": "closed"} | merged)
    return pull


def _refused(message: str) -> ApiError:
    return ApiError(422, "Validation Failed", resource="PullRequest", code="custom", message=message)
