"""Runs of the engine that makes an environment: started once, and believed only by their verified results."""

from shared.guard import Permit
from shared.iac import engines
from shared.iac.runner import IacResult
from shared.models.records import RequestRecord
from shared.models.runs import IacRun, PipelineRun, Run
from shared.register import requests


async def request_of(run: Run) -> RequestRecord:
    """The request that made the application: the run's own, or that of the application that an operation is of."""
    record = await requests.find(run.application, run.request_id)
    if record is not None:
        return record
    application = await requests.application(run.application)
    return await requests.get(run.application, application.request_id if application else run.request_id)


async def start_run(data: IacRun, allowed: Permit | None = None) -> PipelineRun:
    """Start the run unless it is there; a destruction needs the guard's permit."""
    record = await request_of(data.run)
    return await engines.of_environment(record, str(data.run.environment)).submit(record, data, allowed)


async def runner_result(run_id: str, action: str, ended: PipelineRun) -> IacResult:
    """The verified result of a run that succeeded, or that was stale.

    Raises:
        PermanentIntegrationError: it failed; the sentence says why.
    """
    return await engines.of_run(ended).result(run_id, action, ended)
