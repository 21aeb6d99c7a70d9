"""Azure Deployment Stacks with an ARM template: no pipeline and no state, Azure works out the changes and makes them.

Template and variables are read from the infrastructure repository at the commit of the pull request, as a pipeline
would. A plan is a what-if; an apply asks what-if again and deploys only if the answer is the approved one.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

from shared import archetypes, stack_changes
from shared import plan as plans
from shared.canonical import digest
from shared.clients import deployment_stacks as stacks
from shared.clients import github, resources
from shared.clients._github import infrastructure
from shared.errors import NotFoundError, PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.guard import Permit
from shared.iac.runner import IacResult
from shared.models.records import RequestRecord
from shared.models.runs import IacRun, PipelineRun
from shared.names import variables_path
from shared.tagging import REQUEST_TAG

RUN_TAG = "appstore-run-id"
PLAN_TAG = "appstore-plan-sha256"
_SYSTEM = "azure deployment stacks"
_GROUP_DEPTH = "/subscriptions/s/resourceGroups/g".count("/")
_PORTAL = "https://portal.azure.com/#resource"


class DeploymentStack:
    """One stack per environment, at the subscription of its landing zone."""

    async def submit(self, record: RequestRecord, run: IacRun, permit: Permit | None = None) -> PipelineRun:
        """Start what the action names; what carries the run's id already is returned."""
        stack = _stack(record, str(run.run.environment))
        match run.action:
            case "plan" | "drift":
                return await _plan(record, run, stack)
            case "apply":
                return await _apply(record, run, stack)
            case "destroy-plan":
                return _started(stack)
            case _:
                return await _destroy(run, stack, permit)

    async def status(self, started: PipelineRun) -> PipelineRun:
        """The what-if result or the stack. A stack that is gone has been deleted: that is an end, too."""
        found = await stacks.read(started.place)
        if found is None:
            lost = _is_what_if(started.place)
            return started.model_copy(update={"status": "completed", "conclusion": "failure" if lost else "success"})
        if not found.ended:
            return started.model_copy(update={"status": "in_progress"})
        conclusion = "success" if found.state == "succeeded" else "failure"
        return started.model_copy(update={"status": "completed", "conclusion": conclusion})

    async def result(self, run_id: str, action: str, ended: PipelineRun) -> IacResult:
        """What-if's changes as a change set; of a stack its outputs, or what it manages."""
        found = await stacks.read(ended.place)
        if action == "destroy-plan":
            return IacResult(plan_sha256=_managed(found))
        if action == "destroy":
            return _gone(found)
        if found is None:
            raise PermanentIntegrationError(VendorCall(_SYSTEM, action), f"{ended.place} is not there any more")
        if action in ("plan", "drift"):
            stacks.require(found)
            change_set = await _change_set(ended.place)
            return IacResult(plan_sha256=_plan_digest(found, change_set), change_set=change_set)
        if _is_what_if(ended.place):
            return IacResult(stale=True)
        return _applied(run_id, found)


def _stack(record: RequestRecord, environment: str) -> str:
    zone = plans.zone_of(record, environment)
    return stacks.stack_id(zone.subscription_id, f"appstore-{record.application}-{environment}")


def _started(place: str) -> PipelineRun:
    return PipelineRun(place=place, link=f"{_PORTAL}{place}")


def _is_what_if(place: str) -> bool:
    return "/deploymentStacksWhatIfResults/" in place


async def _plan(record: RequestRecord, run: IacRun, stack: str) -> PipelineRun:
    place = _what_if(record, run)
    if await stacks.read(place) is None:
        await stacks.put_what_if(place, stack, await _deployment(record, run))
    return _started(place)


def _what_if(record: RequestRecord, run: IacRun) -> str:
    return stacks.what_if_id(plans.zone_of(record, str(run.run.environment)).subscription_id, run.run_id)


async def _apply(record: RequestRecord, run: IacRun, stack: str) -> PipelineRun:
    """Deploy if a what-if of this moment says what was approved; else return that what-if: the plan is stale."""
    there = await stacks.read(stack)
    if there and (there.tags or {}).get(RUN_TAG) == run.run_id:
        return _started(stack)
    if there and not there.ended:
        raise TransientIntegrationError(VendorCall(_SYSTEM, "create deployment stack"), f"{stack} is {there.state}")
    place, deployment = _what_if(record, run), await _deployment(record, run)
    await stacks.put_what_if(place, stack, deployment)
    fresh = await stacks.wait(place)
    if _plan_digest(fresh, await _change_set(place)) != run.plan_sha256:
        return _started(place)
    await stacks.put_stack(stack, deployment)
    return _started(stack)


async def _deployment(record: RequestRecord, run: IacRun) -> stacks.Deployment:
    """Template and variables as they are in the commit; the stack carries what they amount to."""
    environment = str(run.run.environment)
    name = archetypes.find(record.body.archetype).template
    template = json.loads(await _file(f"arm/{name}.json", run.commit))
    given = json.loads(await _file(variables_path(record.application, environment), run.commit))
    tags = {REQUEST_TAG: record.id, RUN_TAG: run.run_id, PLAN_TAG: run.plan_sha256, "environment": environment}
    tags["content"] = digest({"template": template, "variables": given})
    return stacks.Deployment(str(given["location"]), template, _parameters(given), {k: v for k, v in tags.items() if v})


async def _file(path: str, commit: str) -> str:
    content = await github.read_file(infrastructure(), path, commit)
    if content is None:
        raise NotFoundError(VendorCall("github", "get content", 404), f"{path} is not in {commit[:12]}")
    return content


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    """Variables as template parameters: a template knows no fractions, and null is the same as absent."""
    known = {name: value for name, value in given.items() if value is not None}
    return {name: str(value) if isinstance(value, float) else value for name, value in known.items()}


async def _change_set(place: str) -> dict[str, Any]:
    return stack_changes.change_set(await stacks.read_changes(place), stacks.API_VERSION)


def _plan_digest(what_if: stacks.Stack, change_set: dict[str, Any]) -> str:
    """What an approval of this plan stands for: the content that is deployed, and what it changes."""
    return digest({"content": (what_if.tags or {}).get("content"), "changeSet": change_set})


def _applied(run_id: str, stack: stacks.Stack) -> IacResult:
    tags = stack.tags or {}
    if tags.get(RUN_TAG) != run_id:
        call = VendorCall(_SYSTEM, "apply")
        raise PermanentIntegrationError(call, f"the stack was deployed by {tags.get(RUN_TAG)} since, not by {run_id}")
    values = stacks.require(stack).properties.outputs or {}
    outputs = {name: str(item["value"]) for name, item in values.items() if item.get("value") is not None}
    return IacResult(plan_sha256=tags.get(PLAN_TAG, ""), outputs=outputs)


def _managed(stack: stacks.Stack | None) -> str:
    """Digest of what a deletion takes away."""
    return digest(sorted(item.id.lower() for item in stack.properties.resources) if stack else [])


def _gone(stack: stacks.Stack | None) -> IacResult:
    if stack is not None:
        problem = stack.properties.error or stacks.Problem()
        detail = f"{stack.id} is still there ({stack.state}): {problem.message or 'no reason given'}"
        raise PermanentIntegrationError(VendorCall(_SYSTEM, "destroy"), detail[:600])
    return IacResult(plan_sha256=None)


async def _destroy(run: IacRun, stack: str, permit: Permit | None) -> PipelineRun:
    """Delete the stack with what it managed when the destruction was planned, and nothing that others put there."""
    if permit is None:
        raise TypeError("a stack is deleted with the guard's permit only")
    there = await stacks.read(stack)
    if there is None or there.state == "deleting":
        return _started(stack)
    call = VendorCall(_SYSTEM, "destroy")
    if not there.ended:
        raise TransientIntegrationError(call, f"{stack} is {there.state}")
    if _managed(there) != run.plan_sha256:
        raise PermanentIntegrationError(call, f"{stack} manages other resources than when its removal was planned")
    foreign = [name async for name in _foreign(there)]
    if foreign:
        detail = f"the resource group holds what the stack does not manage: {', '.join(foreign[:5])}; move or remove it"
        raise PermanentIntegrationError(call, detail)
    await stacks.delete_stack(stack, permit)
    return _started(stack)


async def _foreign(stack: stacks.Stack) -> AsyncIterator[str]:
    """Resources that would go down with a resource group of the stack although it does not manage them."""
    managed = {item.id.lower() for item in stack.properties.resources}
    for group in sorted(name for name in managed if name.count("/") == _GROUP_DEPTH):
        try:
            async for resource in resources.list_resources(group):
                if resource.id.lower() not in managed:
                    yield resource.id
        except NotFoundError:
            continue
