"""Repositories, properties, teams, protection. https://docs.github.com/rest/repos, /rest/teams, /rest/branches."""

import re

from aiohttp import web

from local.vendors.github.api import ORGANISATION, ApiError, Json, page, shape
from local.vendors.github.calls import REPO, Call, operation
from local.vendors.github.hosting import DEFAULTS
from local.vendors.github.repository import ZERO

TEAMS = ("payments", "platform", "web")
NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
VISIBILITIES = ("public", "private", "internal")
PROTECTION = f"{REPO}/branches/{{branch}}/protection"
REQUIRED = ("required_status_checks", "enforce_admins", "required_pull_request_reviews", "restrictions")

REVIEWS = {REQUIRED[2]: {"dismiss_stale_reviews": False, "require_code_owner_reviews": False}}


@operation("GET", "/orgs/{org}/repos", "/installation/repositories")
async def list_repositories(call: Call) -> web.Response:
    found = [each.shape() for each in call.hosting.repositories()]
    return page(call.request, found, None if "org" in call.info else "repositories")


@operation("POST", "/orgs/{org}/repos")
async def create(call: Call) -> Json:
    name, wanted = str(call.body.get("name", "")), call.body
    if call.info["org"] != ORGANISATION:
        raise ApiError(404, "Not Found")
    if not NAME.fullmatch(name):
        raise _refused("name", "is invalid")
    visibility = wanted.get("visibility") or ("private" if wanted.get("private") else "public")
    if visibility not in VISIBILITIES:
        raise _refused("visibility", "visibility is not a valid value")
    fields = {key: wanted[key] for key in DEFAULTS if key in wanted} | {"visibility": visibility}
    fields |= {"description": wanted.get("description"), "properties": wanted.get("custom_properties", {})}
    created = await call.hosting.create(name, fields)
    if created is None:
        raise _refused("name", "name already exists on this account")
    if wanted.get("auto_init"):
        readme = await created.blob(f"# {name}\n{wanted.get('description') or ''}".rstrip().encode())
        commit = await created.commit(await created.tree([("100644", readme, "README.md")]), [], "Initial commit")
        await created.update("refs/heads/main", commit, ZERO)
    return created.shape()


@operation("GET", REPO)
async def get(call: Call) -> Json:
    return call.repository.shape()


@operation("PATCH", REPO)
async def edit(call: Call) -> Json:
    repository, wanted = call.repository, call.body
    if repository.document["archived"] and wanted.get("archived") is not False:
        raise ApiError(403, "Repository was archived so is read-only.")
    if wanted.get("visibility", "public") not in VISIBILITIES or wanted.get("name", repository.name) != repository.name:
        raise ApiError(422, "Validation Failed", resource="Repository", code="invalid")
    known = {*DEFAULTS, "description", "visibility", "default_branch"}
    repository.document |= {key: value for key, value in wanted.items() if key in known}
    call.hosting.save(repository)
    return repository.shape()


@operation("DELETE", REPO)
async def delete(call: Call) -> None:
    call.hosting.remove(call.repository)


@operation("GET", f"{REPO}/properties/values")
async def get_properties(call: Call) -> list[Json]:
    values = call.repository.document["properties"]
    return [{"property_name": name, "value": value} for name, value in values.items()]


@operation("PATCH", f"{REPO}/properties/values")
async def set_properties(call: Call) -> None:
    values = {each["property_name"]: each["value"] for each in call.body.get("properties", [])}
    merged = call.repository.document["properties"] | values
    call.repository.document["properties"] = {name: value for name, value in merged.items() if value is not None}
    call.hosting.save(call.repository)


@operation("GET", "/orgs/{org}/teams/{slug}")
async def get_team(call: Call) -> Json:
    slug = call.info["slug"]
    if call.info["org"] != ORGANISATION or slug not in TEAMS:
        raise ApiError(404, "Not Found")
    return shape("team", {"id": 8001 + TEAMS.index(slug), "slug": slug})


@operation("PUT", "/orgs/{org}/teams/{slug}/repos/{owner}/{repo}")
async def add_team(call: Call) -> None:
    team, permission = await get_team(call), call.body.get("permission", "push")
    if permission not in {"pull", "triage", "push", "maintain", "admin"}:
        raise ApiError(422, "Validation Failed", resource="Team", field="permission", code="invalid")
    call.put("teams/{slug}", team | {"permission": permission})


@operation("GET", f"{REPO}/teams")
async def list_teams(call: Call) -> list[Json]:
    return call.all("teams/")


@operation("GET", PROTECTION)
async def get_protection(call: Call) -> Json:
    return call.get("protection/{branch}", "Branch not protected")


@operation("PUT", PROTECTION)
async def protect(call: Call) -> Json:
    if missing := [f'"{name}" wasn\'t supplied.' for name in REQUIRED if name not in call.body]:
        raise ApiError(422, "Invalid request.\n\n" + "\n".join(missing))
    if f"refs/heads/{call.info['branch']}" not in await call.repository.refs():
        raise ApiError(404, "Branch not found")
    url = f"{call.repository.url}/branches/{call.info['branch']}/protection"
    shown: Json = {"url": url}
    for name, value in call.body.items():
        if isinstance(value, dict):
            shown[name] = {"url": f"{url}/{name}"} | REVIEWS.get(name, {}) | value
        elif isinstance(value, bool) or name == "enforce_admins":
            shown[name] = {"enabled": bool(value)} | ({"url": f"{url}/{name}"} if name == "enforce_admins" else {})
    return call.put("protection/{branch}", shown)


def _refused(field: str, message: str) -> ApiError:
    error = {"resource": "Repository", "code": "custom", "field": field, "message": message}
    return ApiError(422, "Repository creation failed.", **error)
