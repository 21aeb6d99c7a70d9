"""Runs of the infrastructure repository's pipeline: started once, and believed only by what they wrote."""

import json
from typing import Any

from pydantic import Field

from shared import archetypes
from shared.canonical import sha256_hex
from shared.clients import blobs, github_actions
from shared.clients._github import infrastructure
from shared.errors import NotFoundError, PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.models import Model
from shared.models.records import RequestRecord
from shared.models.runs import IacRun, PipelineRun, Run
from shared.names import state_key
from shared.register import operations, requests

WORKFLOW = "iac.yml"


class _RunnerProblem(Model):
    title: str
    detail: str = ""
    stale: bool = False


class RunnerResult(Model):
    """``result.json`` of the runner: see ``infra/README.md``."""

    model_config = {**Model.model_config, "alias_generator": None}

    run_id: str
    action: str
    status: str
    plan_sha256: str | None = None
    changeset_sha256: str | None = None
    outputs: dict[str, Any] = Field(default_factory=dict)
    problem: _RunnerProblem | None = None


async def request_of(run: Run) -> RequestRecord:
    """The request that made the application: the run's own, or that of the application that an operation is of."""
    record = await requests.find(run.application, run.request_id)
    if record is not None:
        return record
    application = await requests.application(run.application)
    return await requests.get(run.application, application.request_id if application else run.request_id)


async def start_run(data: IacRun) -> PipelineRun:
    """Start the pipeline unless a run of that name is there."""
    name, application, environment = infrastructure(), data.run.application, str(data.run.environment)
    record = await request_of(data.run)
    operation = await operations.find(application, data.run.request_id)
    since = operation.created_at if operation else record.created_at
    found = await github_actions.find_run(name, WORKFLOW, f"iac {data.run_id}", since)
    if found is None:
        inputs = {
            "run_id": data.run_id,
            "action": data.action,
            "application": application,
            "environment": environment,
            "stack": archetypes.find(record.body.archetype).stack,
            "commit": data.commit,
            "plan_run_id": data.plan_run_id,
            "plan_sha256": data.plan_sha256,
            "state_key": state_key(application, environment),
        }
        run_id = await github_actions.dispatch(name, WORKFLOW, {key: value for key, value in inputs.items() if value})
        found = await github_actions.read_run(name, run_id)
    return PipelineRun(repository=name, run_id=found.id, status=found.status, link=found.html_url)


async def runner_result(run_id: str, action: str, pipeline: PipelineRun) -> RunnerResult:
    """The runner's verified result.

    Raises:
        PermanentIntegrationError: the pipeline ended before the runner could write one.
        TransientIntegrationError: the artefact is not there or is not this run's.
    """
    call = VendorCall("infrastructure pipeline", action)
    try:
        result = RunnerResult.model_validate_json(await blobs.read_artefact(run_id, "result.json"))
    except NotFoundError as error:
        where = await github_actions.read_failure(pipeline.repository, pipeline.run_id)
        place = where or "no step named"
        detail = f"the pipeline ended as {pipeline.conclusion} without a result: {place}, see {pipeline.link}"
        raise PermanentIntegrationError(call, detail) from error
    except ValueError as error:
        raise TransientIntegrationError(call, f"the result of {run_id} is not readable") from error
    if (result.run_id, result.action) != (run_id, action):
        detail = f"the result is of {result.run_id} ({result.action}), not of {run_id} ({action})"
        raise TransientIntegrationError(call, detail)
    return result


def require_success(result: RunnerResult, action: str) -> None:
    """Demand that the runner says it succeeded.

    Raises:
        PermanentIntegrationError: with the runner's own words.
    """
    if result.status != "succeeded":
        problem = result.problem
        detail = f"{problem.title}: {problem.detail}" if problem else "failed without a reason"
        raise PermanentIntegrationError(VendorCall("infrastructure pipeline", action), detail[:600])


async def change_set_of(result: RunnerResult) -> dict[str, Any]:
    """The redacted change set of a run that succeeded, its bytes verified.

    Raises:
        PermanentIntegrationError: it failed, or the change set is not the one that the runner wrote.
    """
    require_success(result, result.action)
    content = await blobs.read_artefact(result.run_id, "changeset.json")
    if sha256_hex(content) != result.changeset_sha256:
        call = VendorCall("infrastructure pipeline", result.action)
        raise PermanentIntegrationError(call, f"the change set of {result.run_id} is not the one the runner wrote")
    found: dict[str, Any] = json.loads(content)
    return found
