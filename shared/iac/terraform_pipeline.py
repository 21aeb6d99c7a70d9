"""Terraform, run by the infrastructure repository's pipeline on GitHub Actions: the default."""

import json
from typing import Any

from pydantic import Field

from shared import archetypes
from shared.canonical import sha256_hex
from shared.clients import blobs, github_actions
from shared.clients._github import infrastructure
from shared.errors import NotFoundError, PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.guard import Permit
from shared.iac.runner import IacResult
from shared.models import Model
from shared.models.records import RequestRecord
from shared.models.runs import IacRun, PipelineRun
from shared.names import state_key
from shared.register import operations

WORKFLOW = "iac.yml"
_SYSTEM = "infrastructure pipeline"


class _RunnerProblem(Model):
    title: str
    detail: str = ""
    stale: bool = False


class _RunnerResult(Model):
    """``result.json`` of the runner: see ``infra/README.md``."""

    model_config = {**Model.model_config, "alias_generator": None}

    run_id: str
    action: str
    status: str
    plan_sha256: str | None = None
    changeset_sha256: str | None = None
    outputs: dict[str, Any] = Field(default_factory=dict)
    problem: _RunnerProblem | None = None


class TerraformPipeline:
    """Runs the workflow ``iac.yml``; its artefacts are blobs that only the pipeline writes."""

    async def submit(self, record: RequestRecord, run: IacRun, _permit: Permit | None = None) -> PipelineRun:
        """Dispatch the workflow; the run's name carries our id, an existing run of that name is returned."""
        name, application, environment = infrastructure(), run.run.application, str(run.run.environment)
        operation = await operations.find(application, run.run.request_id)
        since = operation.created_at if operation else record.created_at
        found = await github_actions.find_run(name, WORKFLOW, f"iac {run.run_id}", since)
        if found is None:
            inputs = {
                "run_id": run.run_id,
                "action": run.action,
                "application": application,
                "environment": environment,
                "stack": archetypes.find(record.body.archetype).stack,
                "commit": run.commit,
                "plan_run_id": run.plan_run_id,
                "plan_sha256": run.plan_sha256,
                "state_key": state_key(application, environment),
            }
            given = {key: value for key, value in inputs.items() if value}
            found = await github_actions.read_run(name, await github_actions.dispatch(name, WORKFLOW, given))
        return PipelineRun(repository=name, run_id=found.id, status=found.status, link=found.html_url)

    async def status(self, started: PipelineRun) -> PipelineRun:
        """The workflow run."""
        found = await github_actions.read_run(started.repository, started.run_id)
        return PipelineRun(
            repository=started.repository,
            run_id=found.id,
            status=found.status,
            conclusion=found.conclusion,
            link=found.html_url,
        )

    async def result(self, run_id: str, action: str, ended: PipelineRun) -> IacResult:
        """The artefacts that the runner wrote, held against their digests."""
        result = await _result(run_id, action, ended)
        if result.problem and result.problem.stale:
            return IacResult(stale=True)
        _require_success(result, action)
        change_set = {}
        if action in ("plan", "drift"):
            content = await blobs.read_artefact(run_id, "changeset.json")
            if sha256_hex(content) != result.changeset_sha256:
                call = VendorCall(_SYSTEM, action)
                raise PermanentIntegrationError(call, f"the change set of {run_id} is not the one the runner wrote")
            change_set = json.loads(content)
        outputs = {name: str(value) for name, value in result.outputs.items() if value is not None}
        return IacResult(plan_sha256=result.plan_sha256 or "", change_set=change_set, outputs=outputs)


async def _result(run_id: str, action: str, pipeline: PipelineRun) -> _RunnerResult:
    """The runner's verified result.

    Raises:
        PermanentIntegrationError: the pipeline ended before the runner could write one.
        TransientIntegrationError: the artefact is not there or is not this run's.
    """
    call = VendorCall(_SYSTEM, action)
    try:
        result = _RunnerResult.model_validate_json(await blobs.read_artefact(run_id, "result.json"))
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


def _require_success(result: _RunnerResult, action: str) -> None:
    if result.status != "succeeded":
        problem = result.problem
        detail = f"{problem.title}: {problem.detail}" if problem else "failed without a reason"
        raise PermanentIntegrationError(VendorCall(_SYSTEM, action), detail[:600])
