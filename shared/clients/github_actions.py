"""GitHub Actions: environments, workflow runs.

Documentation: https://docs.github.com/rest/actions and https://docs.github.com/rest/deployments/environments
"""

import itertools
from typing import Any

from shared.clients._github import GITHUB, owner
from shared.clients._http import Call
from shared.errors import PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.models import Model

_PAGE = 100


class RunAnswer(Model):
    """The part of a workflow run that we rely on; GitHub writes snake_case."""

    model_config = {**Model.model_config, "alias_generator": None}

    id: int
    html_url: str
    display_title: str
    status: str
    conclusion: str | None = None


class StepAnswer(Model):
    """A step of a job."""

    name: str
    conclusion: str | None = None


class JobAnswer(Model):
    """A job of a run."""

    name: str
    conclusion: str | None = None
    steps: list[StepAnswer] = []


def _repo(name: str, rest: str) -> str:
    return f"/repos/{owner()}/{name}{rest}"


async def set_environment(name: str, environment: str) -> None:
    """Create or reset a deployment environment that only ``main`` may use."""
    policy = {"protected_branches": True, "custom_branch_policies": False}
    body = {"deployment_branch_policy": policy}

    class Environment(Model):
        name: str

    call = Call("create or update environment", "PUT", _repo(name, f"/environments/{environment}"), body)
    await GITHUB.read(call, Environment)


async def set_variables(name: str, environment: str, variables: dict[str, str]) -> None:
    """Make the environment's variables exactly these values; others are left alone."""
    path = _repo(name, f"/environments/{environment}/variables")
    call = Call("list environment variables", "GET", path, params={"per_page": "30"})

    class Variable(Model):
        name: str
        value: str

    class Listing(Model):
        variables: list[Variable]

    present = {item.name: item.value for item in (await GITHUB.read(call, Listing)).variables}
    for key, value in variables.items():
        if key not in present:
            body = {"name": key, "value": value}
            await GITHUB.call(Call("create environment variable", "POST", path, body, expect=(201,)))
        elif present[key] != value:
            change = Call("update environment variable", "PATCH", f"{path}/{key}", {"value": value}, expect=(204,))
            await GITHUB.call(change)


async def find_run(name: str, workflow: str, title: str, since: str) -> RunAnswer | None:
    """The run of a workflow whose ``run-name`` is ``title``, started on the day of ``since`` (ISO time) or later."""
    path = _repo(name, f"/actions/workflows/{workflow}/runs")

    class Listing(Model):
        model_config = {**Model.model_config, "alias_generator": None}
        workflow_runs: list[RunAnswer]

    for page in itertools.count(1):
        params = {"event": "workflow_dispatch", "created": f">={since[:10]}", "per_page": f"{_PAGE}", "page": f"{page}"}
        listing = await GITHUB.read(Call("list workflow runs", "GET", path, params=params), Listing)
        found = next((run for run in listing.workflow_runs if run.display_title == title), None)
        if found or len(listing.workflow_runs) < _PAGE:
            return found
    return None


async def dispatch(name: str, workflow: str, inputs: dict[str, str]) -> int:
    """Start a workflow on ``main``; returns the run's id."""

    class Started(Model):
        model_config = {**Model.model_config, "alias_generator": None}
        workflow_run_id: int

    body: dict[str, Any] = {"ref": "main", "inputs": inputs, "return_run_details": True}
    path = _repo(name, f"/actions/workflows/{workflow}/dispatches")
    return (await GITHUB.read(Call("dispatch workflow", "POST", path, body), Started)).workflow_run_id


async def read_run(name: str, run_id: int) -> RunAnswer:
    """A workflow run.

    Raises:
        TransientIntegrationError: the answer is another run.
    """
    call = Call("get workflow run", "GET", _repo(name, f"/actions/runs/{run_id}"))
    found = await GITHUB.read(call, RunAnswer)
    if found.id != run_id:
        wrong = VendorCall("github", call.operation, 200)
        raise TransientIntegrationError(wrong, f"the answer is run {found.id}, not {run_id}")
    return found


async def require_success(name: str, run_id: int) -> RunAnswer:
    """A workflow run that has ended well.

    Raises:
        PermanentIntegrationError: it failed; the sentence names job and step.
    """
    found = await read_run(name, run_id)
    if found.conclusion != "success":
        where = await read_failure(name, run_id)
        detail = f"{found.conclusion}: {where or 'no failed step named'}, see {found.html_url}"
        raise PermanentIntegrationError(VendorCall("github", "pipeline run"), detail)
    return found


async def find_run_by_id(name: str, run_id: int) -> RunAnswer | None:
    """A workflow run, or None when it or its repository is gone."""
    call = Call("get workflow run", "GET", _repo(name, f"/actions/runs/{run_id}"), expect=(200, 404))
    answer = await GITHUB.call(call)
    return None if answer.status == 404 else GITHUB.shaped(call, answer, RunAnswer)  # noqa: PLR2004 - HTTP status


async def read_failure(name: str, run_id: int) -> str:
    """Which job and step of a run failed, in a few words; empty when none did."""

    class Listing(Model):
        jobs: list[JobAnswer]

    call = Call("list jobs of a run", "GET", _repo(name, f"/actions/runs/{run_id}/jobs"))
    failed = [job for job in (await GITHUB.read(call, Listing)).jobs if job.conclusion == "failure"]
    steps = [f"{job.name}: {step.name}" for job in failed for step in job.steps if step.conclusion == "failure"]
    return ", ".join(steps) or ", ".join(job.name for job in failed)
