"""References and branches. https://docs.github.com/rest/git/refs, /rest/branches."""

from aiohttp import web

from local.vendors.github.api import ApiError, Json, page, shape
from local.vendors.github.calls import REPO, Call, operation
from local.vendors.github.git_data import listed_commit
from local.vendors.github.repository import ZERO, GitError


@operation("POST", f"{REPO}/git/refs")
async def create_ref(call: Call) -> Json:
    await call.repository.require_commit()
    ref, sha = str(call.body.get("ref")), str(call.body.get("sha"))
    if not ref.startswith("refs/") or ref.count("/") < 2:
        raise ApiError(422, "Reference name must start with 'refs/' and contain at least two slashes.")
    if not await call.repository.resolve(sha):
        raise ApiError(422, "Object does not exist")
    try:
        await call.repository.update(ref, sha, ZERO)
    except GitError:
        raise ApiError(422, "Reference already exists") from None
    await call.hosting.moved(call.repository, ref, ZERO, sha, call.actor)
    return shape("ref", call.repository.facts | {"ref": ref, "sha": sha})


@operation("GET", f"{REPO}/git/ref/{{ref:.+}}")
async def get_ref(call: Call) -> Json:
    await call.repository.require_commit()
    ref = f"refs/{call.info['ref']}"
    if ref not in (refs := await call.repository.refs(ref)):
        raise ApiError(404, "Not Found")
    return shape("ref", call.repository.facts | {"ref": ref, "sha": refs[ref]})


@operation("PATCH", f"{REPO}/git/refs/{{ref:.+}}")
async def update_ref(call: Call) -> Json:
    old, ref, sha = await _existing(call), f"refs/{call.info['ref']}", str(call.body.get("sha"))
    if not await call.repository.resolve(sha):
        raise ApiError(422, "Object does not exist")
    if old != sha:
        rules = call.hosting.store.get(call.key(f"protection/{ref.removeprefix('refs/heads/')}")) or {}
        if rules.get("required_pull_request_reviews") and rules["enforce_admins"]["enabled"]:
            raise ApiError(422, "Changes must be made through a pull request.")
        if not call.body.get("force") and not await call.repository.is_ancestor(old, sha):
            raise ApiError(422, "Update is not a fast forward")
        await call.repository.update(ref, sha, old)
        await call.hosting.moved(call.repository, ref, old, sha, call.actor)
    return shape("ref", call.repository.facts | {"ref": ref, "sha": sha})


@operation("DELETE", f"{REPO}/git/refs/{{ref:.+}}")
async def delete_ref(call: Call) -> None:
    await call.repository.git("update-ref", "-d", f"refs/{call.info['ref']}", await _existing(call))


@operation("GET", f"{REPO}/branches")
async def list_branches(call: Call) -> web.Response:
    commits = (
        (ref[11:], {"sha": sha, "url": f"{call.repository.url}/commits/{sha}"})
        for ref, sha in (await call.repository.refs()).items()
    )
    return page(call.request, [{"name": name, "protected": False, "commit": commit} for name, commit in commits])


@operation("GET", f"{REPO}/branches/{{branch}}")
async def get_branch(call: Call) -> Json:
    sha = (await call.repository.refs()).get(f"refs/heads/{call.info['branch']}")
    if sha is None:
        raise ApiError(404, "Branch not found")
    protected = call.hosting.store.get(call.key("protection/{branch}")) is not None
    facts = {"branch": call.info["branch"], "protected": protected, "commit": await listed_commit(call.repository, sha)}
    return shape("branch", call.repository.facts | facts)


async def _existing(call: Call) -> str:
    await call.repository.require_commit()
    ref = f"refs/{call.info['ref']}"
    if ref not in (refs := await call.repository.refs(ref)):
        raise ApiError(422, "Reference does not exist")
    return refs[ref]
