"""The application's repository: its content, its protection, its environments, its pipeline."""

import json

from activities._activity import activity, look
from shared import archetypes, shields
from shared import plan as plans
from shared.clients import github, github_actions
from shared.clients._github import owner
from shared.errors import ConflictError, VendorCall
from shared.guard import Action
from shared.iac import engines
from shared.models.plan import MadeObject
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Deployment, Nothing, PipelineRun, ReadPipelineRun, Repository
from shared.models.undo import Removed
from shared.names import environment_names
from shared.register import requests
from shared.skeletons import answers

WORKFLOW = "ci.yml"
CHECKS = ["Test"]


def _made(kind: str, name: str, environment: str | None = None) -> list[MadeObject]:
    return [MadeObject(system="github", type=kind, name=name, environment=environment)]


async def _record(data: ActivityInput) -> RequestRecord:
    return await requests.get(data.run.application, data.run.request_id)


@activity
async def ensure_repository(data: ActivityInput) -> Repository:
    """Create the application's repository unless it exists.

    Idempotency: natural key owner/name; a repository that carries our request id (custom property, set with its
    creation) is returned, one that does not is a conflict and stays as it is.
    """
    name, request_id = data.run.application, data.run.request_id
    found = await github.find_repository(name) or await _create_repository(name, request_id)
    if found.custom_properties.get(github.PROPERTY) != request_id:
        call = VendorCall("github", "create repository", 422)
        raise ConflictError(call, f"{found.full_name} exists and was not made by this request; it was left as it is")
    return Repository(
        id=found.id,
        full_name=found.full_name,
        html_url=found.html_url,
        subject_prefix=await github.read_subject_prefix(name),
        detail=found.full_name,
        link=found.html_url,
        made=_made("repository", found.full_name),
    )


async def _create_repository(name: str, request_id: str) -> github.RepositoryAnswer:
    """Create it, or return what somebody (another run of this very step, perhaps) created a moment earlier."""
    try:
        return await github.create_repository(name, request_id)
    except ConflictError:
        found = await github.find_repository(name)
        if found is None:
            raise
        return found


@activity
async def set_content(data: ActivityInput) -> Nothing:
    """Put the rendered skeleton into the repository as its only commit.

    Idempotency: tree and commit are content-addressed and dated by the request, so a repeat makes the same commit; a
    branch that somebody moved meanwhile is a conflict.
    """
    record = await _record(data)
    # Not in a thread: copier changes the working directory of the whole process for a moment.
    files = archetypes.render(record.body.archetype, answers(record))
    listed = [github.File(path, content, executable) for path, (content, executable) in files.items()]
    name = record.application
    tree = await github.create_tree(name, listed)
    message = f"Create {name} from archetype {record.body.archetype}\n\n[skip ci]\nApp-Store-Request: {record.id}"
    commit = await github.create_commit(name, message=message, tree=tree, parents=[], at=record.created_at)
    head = await github.read_head(name, "main")
    if head is None:
        await github.create_branch(name, "main", commit)
    elif head != commit:
        await _require_untouched(name, head)
        await github.move_branch(name, "main", commit, force=True)
    detail = f"1 commit, {len(files)} files"
    return Nothing(detail=detail, link=f"https://github.com/{owner()}/{name}/commit/{commit}")


async def _require_untouched(name: str, head: str) -> None:
    """Only GitHub's own first commit may be replaced: one file, no parent."""
    commit = await github.read_commit(name, head)
    if commit.parents or set(await github.read_paths(name, commit.tree.sha)) - {"README.md"}:
        call = VendorCall("github", "update reference", 409)
        raise ConflictError(call, f"main of {name} holds commits of somebody else; nothing was overwritten")


@activity
async def set_protection(data: ActivityInput) -> Nothing:
    """Protect ``main``.

    Idempotency: PUT of the whole protection.
    """
    await github.set_protection(data.run.application, CHECKS)
    name = f"{owner()}/{data.run.application}:main"
    return Nothing(detail="main is protected", made=_made("branch_protection", name))


@activity
async def set_team_access(data: ActivityInput) -> Nothing:
    """Give the owner team ``maintain``.

    Idempotency: PUT of the permission.
    """
    record = await _record(data)
    await github.set_team_permission(record.application, record.body.owner_team, "maintain")
    return Nothing(detail=f"team {record.body.owner_team}")


@activity
async def ensure_environment(data: Deployment) -> Nothing:
    """Create the deployment environment with the variables of its landing zone.

    Idempotency: PUT of the environment; a variable is written only when it differs.
    """
    record = await _record(data)
    environment = str(data.run.environment)
    zone = plans.zone_of(record, environment)
    await github_actions.set_environment(record.application, environment)
    variables = {
        "AZURE_CLIENT_ID": data.outputs["deployment_client_id"],
        "WORKLOAD_CLIENT_ID": data.outputs.get("identity_client_id", ""),
        "AZURE_TENANT_ID": zone.tenant_id,
        "AZURE_SUBSCRIPTION_ID": zone.subscription_id,
        **_cluster_variables(record, environment),
        "REGISTRY": zone.registry,
        "SOURCE_REGISTRY": plans.source_registry(record, environment),
        "APP_HOSTNAME": plans.host_of(record, environment),
        "KEY_VAULT_URI": data.outputs["key_vault_uri"],
        **_archetype_variables(record, data.outputs),
    }
    filled = {name: value for name, value in variables.items() if value}
    await github_actions.set_variables(record.application, environment, filled)
    name = f"{owner()}/{record.application}:{environment}"
    return Nothing(detail=f"{len(filled)} variables", made=_made("environment", name, environment))


def _cluster_variables(record: RequestRecord, environment: str) -> dict[str, str]:
    """Where the application runs; nothing for one that runs in no cluster."""
    if not plans.makes(record, plans.NAMESPACE):
        return {}
    zone = plans.zone_of(record, environment)
    return {
        "AKS_CLUSTER_NAME": zone.cluster_name,
        "AKS_RESOURCE_GROUP": zone.cluster_resource_group,
        "AKS_NAMESPACE": environment_names(record.application, environment, record.id).namespace,
    }


def _archetype_variables(record: RequestRecord, outputs: dict[str, str]) -> dict[str, str]:
    parameters, values = plans.parameters_of(record), {}
    for name, source in archetypes.find(record.body.archetype).pipeline.items():
        value = parameters.get(source.parameter, "") if source.parameter else outputs.get(source.output, "")
        values[name] = value if isinstance(value, str) else json.dumps(value)
    return values


@activity
async def start_deployment(data: Deployment) -> PipelineRun:
    """Start the repository's own pipeline for this environment.

    Idempotency: the run's name carries the operation; an existing run of that name is returned.
    """
    name, environment = data.run.application, str(data.run.environment)
    title, since = f"deploy {data.operation} to {environment}", (await _record(data)).created_at
    found = await github_actions.find_run(name, WORKFLOW, title, since)
    if found is None:
        inputs = {"environment": environment, "request_id": data.operation}
        run_id = await github_actions.dispatch(name, WORKFLOW, inputs)
        found = await github_actions.read_run(name, run_id)
    return PipelineRun(repository=name, run_id=found.id, status=found.status, link=found.html_url)


@look
async def read_pipeline_run(data: ReadPipelineRun) -> PipelineRun:
    """Look at a pipeline run.

    Idempotency: reads only.
    """
    started = PipelineRun(repository=data.repository, run_id=data.run_id, place=data.place)
    return await engines.of_run(started).status(started)


@activity
async def read_deployment(data: ReadPipelineRun) -> PipelineRun:
    """Judge the finished pipeline run.

    Idempotency: reads only.

    Raises:
        PermanentIntegrationError: the run failed; the sentence names job and step.
    """
    found = await github_actions.require_success(data.repository, data.run_id)
    return PipelineRun(
        repository=data.repository,
        run_id=found.id,
        status=found.status,
        conclusion=found.conclusion,
        link=found.html_url,
        detail="tested, built and deployed",
    )


@activity
async def remove_repository(data: ActivityInput) -> Removed:
    """Remove the repository if this request made it.

    Idempotency: absent is success; a repository that does not carry our request id is left alone.
    """
    name, request_id = data.run.application, data.run.request_id
    found = await github.find_repository(name)
    if found is None:
        return Removed(detail="absent")
    owned_by = found.custom_properties.get(github.PROPERTY)
    if owned_by != request_id:
        return Removed(detail=f"{found.full_name} is not ours and stays")
    action = Action("undo", "repository", found.full_name, request_id)
    allowed = await shields.allow(action, application=data.run.application, owned_by=owned_by)
    await github.delete_repository(name, allowed)
    return Removed(detail=f"{found.full_name} removed")
