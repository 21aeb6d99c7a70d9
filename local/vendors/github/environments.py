"""Environments, variables and the subject of job tokens. https://docs.github.com/rest/deployments, /rest/actions."""

import re

from aiohttp import web

from local.vendors.github.api import ApiError, Json, now, page, shape
from local.vendors.github.calls import REPO, Call, operation

ONE = f"{REPO}/environments/{{environment}}"
VARIABLES = (f"{ONE}/variables", f"{REPO}/actions/variables")
VARIABLE = tuple(f"{path}/{{name}}" for path in VARIABLES)
SUBJECT = f"{REPO}/actions/oidc/customization/sub"
NAME = re.compile(r"(?!GITHUB_)[A-Z_][A-Z0-9_]*")


@operation("GET", f"{REPO}/environments")
async def list_environments(call: Call) -> web.Response:
    return page(call.request, call.all("environments/"), "environments")


@operation("GET", ONE)
async def get_environment(call: Call) -> Json:
    return call.get("environments/{environment}")


@operation("PUT", ONE)
async def set_environment(call: Call) -> Json:
    name, wanted, repository = call.info["environment"], call.body, call.repository
    policy, reviewers, timer = (wanted.get(x) for x in ("deployment_branch_policy", "reviewers", "wait_timer"))
    if policy and policy.get("protected_branches") == policy.get("custom_branch_policies"):
        raise ApiError(422, "protected_branches and custom_branch_policies cannot have the same value")
    if len(reviewers or []) > 6:
        raise ApiError(422, "Too many reviewers: at most 6")
    old = call.hosting.store.get(call.key("environments/{environment}")) or {}
    number = old.get("id") or call.hosting.next_id("environment", 5_000_001)
    rules: list[Json] = [{"id": number, "node_id": f"GA_{number}", "type": "wait_timer", "wait_timer": timer}]
    rules = rules if timer else []
    if reviewers:
        rules.append({"id": number, "node_id": f"GR_{number}", "type": "required_reviewers", "reviewers": reviewers})
    times = {"created_at": old.get("created_at", now()), "updated_at": now()}
    facts = repository.facts | {"id": number, "name": name, "rules": rules, "policy": policy}
    return call.put("environments/{environment}", shape("environment", facts | times))


@operation("DELETE", ONE)
async def delete_environment(call: Call) -> None:
    call.get("environments/{environment}")
    with call.hosting.store.transaction():
        call.hosting.store.delete(call.key("environments/{environment}"))
        for variable in call.all("variables/{environment}/"):
            call.hosting.store.delete(call.key(f"variables/{{environment}}/{variable['name']}"))


@operation("GET", *VARIABLES)
async def list_variables(call: Call) -> web.Response:
    return page(call.request, call.all(f"variables/{_scope(call)}/"), "variables")


@operation("POST", *VARIABLES)
async def create_variable(call: Call) -> Json:
    name, scope = str(call.body.get("name", "")).upper(), _scope(call)
    if not NAME.fullmatch(name) or not isinstance(call.body.get("value"), str):
        raise ApiError(422, "Validation Failed", resource="Variable", field="name", code="invalid")
    document = {"name": name, "value": call.body["value"], "created_at": now(), "updated_at": now()}
    if not call.hosting.store.insert(call.key(f"variables/{scope}/{name}"), document):
        raise ApiError(409, "Already exists - Variable already exists")
    return {}


@operation("GET", *VARIABLE)
async def get_variable(call: Call) -> Json:
    return call.get(f"variables/{_scope(call)}/{call.info['name'].upper()}")


@operation("PATCH", *VARIABLE)
async def set_variable(call: Call) -> None:
    old = await get_variable(call)
    value = {"value": call.body.get("value", old["value"]), "updated_at": now()}
    call.put(f"variables/{_scope(call)}/{old['name']}", old | value)


@operation("DELETE", *VARIABLE)
async def delete_variable(call: Call) -> None:
    old = await get_variable(call)
    call.hosting.store.delete(call.key(f"variables/{_scope(call)}/{old['name']}"))


@operation("GET", SUBJECT)
async def get_subject(call: Call) -> Json:
    custom = call.hosting.store.get(call.key("subject")) or {"use_default": True, "use_immutable_subject": True}
    return custom | {"sub_claim_prefix": call.repository.subject_prefix}


@operation("PUT", SUBJECT)
async def set_subject(call: Call) -> web.Response:
    if not isinstance(call.body.get("use_default"), bool):
        raise ApiError(422, 'Invalid request.\n\n"use_default" wasn\'t supplied.')
    call.put("subject", call.body)
    return web.json_response({}, status=201)


def _scope(call: Call) -> str:
    """The environment of a variable; "" is the repository itself."""
    if "environment" in call.info:
        call.get("environments/{environment}")
    return call.info.get("environment", "")
