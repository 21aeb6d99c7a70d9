"""Infrastructure as code: pull request, plan, apply and destroy by the engine of the landing zone."""

import json
from typing import Any

from activities._activity import activity
from activities._iac import request_of, runner_result, start_run
from activities._vault_topics import remove_vault_topics
from shared import plan as plans
from shared import shields
from shared.canonical import canonical_json, digest
from shared.clients import github, resource_manager
from shared.clients._github import infrastructure
from shared.errors import NotFoundError, PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.guard import Action, Facts, permit
from shared.iac import change_sets
from shared.models.plan import Change, EnvironmentPlan, MadeObject
from shared.models.runs import (
    ActivityInput,
    ApplyResult,
    IacRun,
    InfrastructureChange,
    MergeInfrastructureChange,
    Nothing,
    OpenInfrastructureChange,
    PipelineRun,
    PlanResult,
    ReadApplyResult,
    ReadPlanResult,
)
from shared.models.undo import DestroyPlan, DestroyResult, Removed
from shared.names import change_branch, environment_names, variables_path
from shared.register import requests


@activity
async def open_infrastructure_change(data: OpenInfrastructureChange) -> InfrastructureChange:
    """Propose the environment's variables as a pull request.

    Idempotency: branch named by request and environment; the same variables on it are kept, other ones replaced.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    environment = str(data.run.environment)
    branch, path = change_branch(record.id, environment), variables_path(record.application, environment)
    content = canonical_json(plans.variables(record, environment)).decode()
    commit = await _commit_variables(
        branch, path, content, title=_title(record.application, environment), at=record.created_at
    )
    pull = await github.find_pull(infrastructure(), branch)
    if pull is None or pull.state != "open":
        body = f"App Store request {record.id}. Merged by the App Store after the approval of exactly this change."
        pull = await github.create_pull(
            infrastructure(), branch=branch, title=_title(record.application, environment), body=body
        )
    return InfrastructureChange(
        pull_number=pull.number,
        pull_url=pull.html_url,
        commit=commit,
        branch=branch,
        detail=f"infra PR #{pull.number}",
        link=pull.html_url,
        made=[MadeObject(system="github", type="pull_request", name=path, environment=environment)],
    )


def _title(application: str, environment: str) -> str:
    return f"{application}: {environment}"


async def _commit_variables(branch: str, path: str, content: str, *, title: str, at: str) -> str:
    """Commit of the branch that holds exactly these variables."""
    name = infrastructure()
    head = await github.read_head(name, branch)
    if head is not None:
        there = await github.read_commit(name, head)
        wanted = await github.create_tree(name, [github.File(path, content)], base=there.tree.sha)
        if wanted == there.tree.sha:
            return head
    main = await github.read_head(name, "main")
    if main is None:
        raise NotFoundError(VendorCall("github", "get reference", 404), f"{name} has no branch main")
    base = (await github.read_commit(name, main)).tree.sha
    tree = await github.create_tree(name, [github.File(path, content)], base=base)
    commit = await github.create_commit(name, message=title, tree=tree, parents=[main], at=at)
    if head is None:
        await github.create_branch(name, branch, commit)
    else:
        await github.move_branch(name, branch, commit, force=True)
    return commit


@activity
async def start_plan(data: IacRun) -> PipelineRun:
    """Start the run that plans one environment.

    Idempotency: the run's name carries our run id; an existing run of that name is returned.
    """
    return await start_run(data)


@activity
async def start_apply(data: IacRun) -> PipelineRun:
    """Start the run that applies one plan.

    Idempotency: as ``start_plan``; only the plan with the approved digest is applied, once.
    """
    return await start_run(data)


@activity
async def start_destroy_plan(data: IacRun) -> PipelineRun:
    """Start the pipeline that plans the destruction of one environment.

    Idempotency: as ``start_plan``.
    """
    return await start_run(data)


@activity
async def read_destroy_plan(data: DestroyResult) -> DestroyPlan:
    """Fetch the digest of the saved plan that destroys.

    Idempotency: reads only.
    """
    result = await runner_result(data.run_id, "destroy-plan", data.pipeline)
    if not result.plan_sha256:
        call = VendorCall("infrastructure pipeline", "destroy-plan")
        raise PermanentIntegrationError(call, f"the run {data.run_id} saved no plan")
    return DestroyPlan(plan_sha256=result.plan_sha256)


@activity
async def start_destroy(data: IacRun) -> PipelineRun:
    """Start the pipeline that destroys one environment by its saved plan; what Azure Policy made there goes before.

    Idempotency: as ``start_plan``; destroying what is gone changes nothing.
    """
    reserved = await requests.application(data.run.application)
    run, owned_by = data.run, reserved.request_id if reserved else None
    action = Action("undo", "environment", f"{run.application}-{run.environment}", run.request_id, run.environment)
    allowed = await shields.allow(action, application=run.application, owned_by=owned_by)
    await remove_vault_topics(await request_of(run), str(run.environment))
    return await start_run(data, allowed)


@activity
async def read_plan_result(data: ReadPlanResult) -> PlanResult:
    """Fetch the plan's change set, verified; a deployment stack's is kept under the name of its run.

    Idempotency: reads; the same change set has the same name.
    """
    environment = str(data.run.environment)
    result = await runner_result(data.run_id, "plan", data.pipeline)
    if not result.plan_sha256:
        call = VendorCall("infrastructure pipeline", "plan")
        raise PermanentIntegrationError(call, f"the run {data.run_id} saved no plan")
    change_set = result.change_set
    listed = [item for item in change_set["changes"] if item["action"] not in ("noop", "read")]
    plan = EnvironmentPlan(
        environment=environment,
        run_id=data.run_id,
        commit=data.change.commit,
        pull_number=data.change.pull_number,
        pull_url=data.change.pull_url,
        plan_sha256=result.plan_sha256,
        changeset_digest=digest(change_set),
        summary=change_set["summary"],
        changes=[_change(item, environment) for item in listed],
        engine=change_set["engine"],
    )
    await change_sets.keep(plan, change_set)
    return PlanResult(plan=plan, detail=f"{len(listed)} resources", link=data.change.pull_url)


def _change(item: dict[str, Any], environment: str) -> Change:
    return Change(
        system="azure", type=item["type"], name=item["address"], action=item["action"], environment=environment
    )


@activity
async def merge_infrastructure_change(data: MergeInfrastructureChange) -> Nothing:
    """Merge the pull request at exactly the approved commit.

    Idempotency: merged already at that commit is success.
    """
    title = f"{_title(data.run.application, str(data.run.environment))} (#{data.pull_number})"
    await github.merge_pull(infrastructure(), data.pull_number, commit=data.commit, title=title)
    return Nothing(detail=f"infra PR #{data.pull_number} merged")


@activity
async def read_apply_result(data: ReadApplyResult) -> ApplyResult:
    """Fetch the result of the apply and verify that it was the approved plan.

    Idempotency: reads only.
    """
    result = await runner_result(data.run_id, "apply", data.pipeline)
    if result.stale:
        return ApplyResult(stale=True, detail="the saved plan no longer fits the state")
    call = VendorCall("infrastructure pipeline", "apply")
    if result.plan_sha256 != data.plan.plan_sha256:
        raise PermanentIntegrationError(call, f"the run {data.run_id} applied another plan than the approved one")
    made = [
        MadeObject(system="azure", type=change.type, name=change.name, environment=data.plan.environment)
        for change in data.approved.changes
    ]
    outputs = result.outputs
    missing = {"deployment_client_id", "deployment_identity_id", "key_vault_uri"} - set(outputs)
    if missing:
        raise TransientIntegrationError(call, f"the outputs {', '.join(sorted(missing))} are missing")
    detail = f"plan = approved plan, {len(made)} resources"
    return ApplyResult(outputs=outputs, plan_run_id=data.approved.run_id, detail=detail, made=made)


@activity
async def read_destroy_result(data: DestroyResult) -> Removed:
    """Verify that the environment's infrastructure is gone, and name what Azure keeps.

    Idempotency: reads only.
    """
    result = await runner_result(data.run_id, "destroy", data.pipeline)
    if result.plan_sha256 not in (None, data.plan_sha256):  # a stack was asked before it was deleted
        call = VendorCall("infrastructure pipeline", "destroy")
        raise PermanentIntegrationError(call, f"the run {data.run_id} destroyed by another plan")
    record = await requests.get(data.run.application, data.run.request_id)
    environment = str(data.run.environment)
    zone, names = plans.zone_of(record, environment), environment_names(record.application, environment, record.id)
    deleted = await resource_manager.list_deleted_vaults(zone.subscription_id)
    kept = [
        MadeObject(system="azure", type="soft-deleted Key Vault", name=name, environment=environment)
        for name in deleted
        if name == names.key_vault
    ]
    return Removed(detail="destroyed", residue=kept)


@activity
async def remove_infrastructure_change(data: ActivityInput) -> Removed:
    """Close the pull request, delete its branch, and take the variables off ``main`` again.

    Idempotency: branch and file are named by the request's application and environment; absent is success.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    environment = str(data.run.environment)
    branch, path = change_branch(record.id, environment), variables_path(record.application, environment)
    allowed = permit(Action("undo", "pull request", branch, record.id), Facts(owned_by=record.id))
    pull = await github.find_pull(infrastructure(), branch)
    if pull is not None:
        await github.close_pull(infrastructure(), pull.number, allowed)
    await _remove_variables(path, _title(record.application, environment), record.id, record.updated_at)
    await github.delete_branch(infrastructure(), branch, allowed)
    return Removed(detail=f"{path} removed")


async def _remove_variables(path: str, title: str, request_id: str, at: str) -> None:
    """Commit the removal of the file on ``main`` if it is ours; a moved branch is tried again by the durable retry."""
    name = infrastructure()
    content = await github.read_file(name, path, "main")
    main = await github.read_head(name, "main")
    if content is None or main is None:
        return
    owned_by = json.loads(content).get("request_id")
    if owned_by != request_id:
        return
    permit(Action("undo", "variables file", path, request_id), Facts(owned_by=owned_by))
    tree = (await github.read_commit(name, main)).tree.sha
    smaller = await github.create_tree(name, [], base=tree, removed=(path,))
    message = f"{title}: removed\n\nUndo of App Store request {request_id}"
    commit = await github.create_commit(name, message=message, tree=smaller, parents=[main], at=at)
    await github.move_branch(name, "main", commit)
