"""Step rows: the progress of a run, and the memory that makes a repeated step free."""

from dataclasses import dataclass

from shared.models.records import StepRecord
from shared.models.runs import Run
from shared.register._table import Write, commit, document_of, read, read_many, scan
from shared.register.operations import operation_key
from shared.register.promotions import promotion_key
from shared.register.requests import request_key

_CONTROL = "control"
_KILL_SWITCH = "kill-switch"


@dataclass(frozen=True)
class Standing:
    """What an activity must know before its effect.

    Attributes:
        state: state of the request, promotion or operation.
        attempt: its current attempt.
        step: the step's row, when it ran before.
        stopped: whether the kill switch is on.
    """

    state: str | None
    attempt: int
    step: StepRecord | None
    stopped: bool


def step_key(run: Run, name: str) -> str:
    """Row key of a step."""
    kind = "undo-step" if run.undo else "step"
    where = f"{run.branch}@{run.environment}" if run.environment else run.branch
    return f"{kind}:{run.request_id}:{where}:{name}"


async def standing(run: Run, name: str) -> Standing:
    """Read request, promotion or operation, step and kill switch."""
    owners = [key(run.request_id) for key in (request_key, promotion_key, operation_key)]
    keys = [*owners, step_key(run, name)]
    rows = await read_many(run.application, keys)
    switch = await read(_CONTROL, _KILL_SWITCH)
    owner, step = next((rows[key] for key in owners if key in rows), None), rows.get(keys[-1])
    return Standing(
        state=str(owner.document["state"]) if owner else None,
        attempt=int(owner.document.get("attempt", 1)) if owner else 0,
        step=StepRecord.model_validate(step.document) if step else None,
        stopped=bool(switch and switch.document.get("on")),
    )


async def write(run: Run, record: StepRecord) -> None:
    """Write a step's row; the last writer of two runs of the same step wins, both tell the same."""
    await commit(run.application, [Write(step_key(run, record.name), document_of(record), force=True)])


async def of_request(application: str, request_id: str, *, undo: bool = False) -> list[StepRecord]:
    """The steps of a request in the order they started."""
    prefix = f"{'undo-step' if undo else 'step'}:{request_id}:"
    rows = [StepRecord.model_validate(row.document) async for row in scan(application, prefix)]
    return sorted(rows, key=lambda step: step.started_at)
