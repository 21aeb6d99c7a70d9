"""Undo: wait until nothing runs any more, then say what there is to look after."""

from datetime import UTC, datetime, timedelta

from activities._activity import look
from shared import plan as plans
from shared.clients import github_actions
from shared.clock import utc_now
from shared.iac import engines
from shared.models.plan import MadeObject
from shared.models.records import RequestRecord, StepRecord, StepState
from shared.models.runs import ActivityInput, InfrastructureChange, PipelineRun
from shared.models.undo import Settled, UndoWork
from shared.register import leases, requests, steps

_LONGEST_ACTIVITY = timedelta(minutes=11)  # functionTimeout of host.json and a little
_STARTS = frozenset({"start_plan", "start_apply", "start_deployment"})


@look
async def settle_run(data: ActivityInput) -> Settled:
    """Tell what is still under way for the request; steps that have not begun are fenced by the attempt already.

    Idempotency: reads, and takes the application's lease, which is ours to take again.
    """
    run = data.run
    holder = await leases.acquire(run.application, run.request_id, utc_now())
    if holder != run.request_id:
        return Settled(busy=f"{run.application} is being changed by {holder}")
    begun = await steps.of_request(run.application, run.request_id)
    for step in begun:
        if step.state in (StepState.RUNNING, StepState.RETRYING) and not _abandoned(step):
            return Settled(busy=f"{step.name} is still under way")
    for step in begun:
        if step.name in _STARTS and step.outcome:
            started = PipelineRun.model_validate(step.outcome)
            if await _under_way(started):
                return Settled(busy=f"the run {started.link} has not ended")
    return Settled()


async def _under_way(started: PipelineRun) -> bool:
    """Whether a run has not ended; a pipeline run that is gone with its repository has."""
    if started.place:
        return (await engines.of_run(started).status(started)).status != "completed"
    current = await github_actions.find_run_by_id(started.repository, started.run_id)
    return current is not None and current.status != "completed"


def _abandoned(step: StepRecord) -> bool:
    """A step that a dying process left: no activity runs this long."""
    return datetime.fromisoformat(step.started_at) < datetime.now(UTC) - _LONGEST_ACTIVITY


@look
async def read_undo_work(data: ActivityInput) -> UndoWork:
    """What the request has begun: the steps that ran, finished or not, because a lost answer may have had its effect.

    Idempotency: reads only.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    begun = await steps.of_request(record.application, record.id)

    def where(name: str) -> list[str]:
        return sorted({str(step.environment) for step in begun if step.name == name and step.environment})

    proposals = [step for step in begun if step.name == "open_infrastructure_change"]
    commits = {
        str(step.environment): InfrastructureChange.model_validate(step.outcome).commit
        for step in proposals
        if step.outcome
    }
    return UndoWork(
        begun=sorted({step.name for step in begun}),
        namespaces=where("ensure_namespace"),
        applied=[name for name in where("start_apply") if name in commits],
        proposed=where("open_infrastructure_change"),
        commits=commits,
        residue=[_image(record, name) for name in where("start_deployment")],
    )


def _image(record: RequestRecord, environment: str) -> MadeObject:
    """The pushed image stays in the registry: its retention is the platform's."""
    registry = plans.zone_of(record, environment).registry
    return MadeObject(
        system="azure", type="container image", name=f"{registry}/{record.application}", environment=environment
    )
