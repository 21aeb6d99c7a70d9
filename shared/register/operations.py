"""Day-2 operations, their planned actions, and the one way in which their state changes."""

from collections.abc import AsyncIterator, Callable, Sequence
from itertools import batched

from pydantic import ValidationError

from shared.errors import StateConflictError
from shared.log import LOGGER
from shared.models.operations import TRANSITIONS, ActionRecord, ActionState, Counts, OperationRecord, OperationState
from shared.register import audit
from shared.register._records import TRIES, busy, change_record, step_back
from shared.register._table import Row, RowConflictError, Write, commit, document_of, query, read, read_many, scan

_ROWS = 90  # a transaction has at most 100 rows


def operation_key(operation_id: str) -> str:
    """Row key of an operation."""
    return f"operation:{operation_id}"


def _action_key(record: ActionRecord) -> str:
    return f"action:{record.operation_id}:{record.order:06d}"


async def find(application: str, operation_id: str) -> OperationRecord | None:
    """The operation, or None."""
    row = await read(application, operation_key(operation_id))
    return OperationRecord.model_validate(row.document) if row else None


async def get(application: str, operation_id: str) -> OperationRecord:
    """The operation, which must exist."""
    record = await find(application, operation_id)
    if record is None:
        raise StateConflictError("unknown", f"operation {operation_id} of {application} is not in the register")
    return record


async def of_application(application: str) -> list[OperationRecord]:
    """The operations of an application, newest first."""
    found = [OperationRecord.model_validate(row.document) async for row in scan(application, "operation:")]
    return sorted(found, key=lambda record: (record.created_at, record.id), reverse=True)


async def in_states(states: Sequence[OperationState]) -> AsyncIterator[OperationRecord]:
    """Operations of all applications that are in one of the states; one that cannot be read is named in the log."""
    wanted = " or ".join(f"state eq '{state}'" for state in states)
    async for row in query(f"kind eq 'operation' and ({wanted})"):
        try:
            yield OperationRecord.model_validate(row.document)
        except ValidationError:
            LOGGER.exception("the row %s is not readable", row.key)


async def create(record: OperationRecord, entry: audit.Entry) -> OperationRecord:
    """Record a new operation with its audit entry; a repeat returns what is there, whatever it asks for."""
    key = operation_key(record.id)
    for tries in range(TRIES):
        await step_back(tries)
        rows = await read_many(record.application, [key, audit.HEAD])
        if key in rows:
            return OperationRecord.model_validate(rows[key].document)
        try:
            await commit(
                record.application, [Write(key, document_of(record)), *audit.append(rows.get(audit.HEAD), entry)]
            )
        except RowConflictError:
            continue
        return record
    raise busy(record.application)


async def transition(
    application: str,
    operation_id: str,
    change: Callable[[OperationRecord], OperationRecord],
    entry: audit.Entry,
    *,
    expect: Sequence[OperationState],
    extra: Callable[[OperationRecord, dict[str, Row]], Sequence[Write]] | None = None,
) -> OperationRecord:
    """Change an operation's state together with its audit entry; raises as ``change_record``."""
    return await change_record(
        OperationRecord,
        application,
        operation_key(operation_id),
        change,
        entry,
        expect=expect,
        declared=TRANSITIONS,
        extra=extra,
    )


async def plan_actions(application: str, records: Sequence[ActionRecord]) -> None:
    """Write the planned actions of a survey over those of an earlier one."""
    for part in batched(records, _ROWS, strict=False):
        await commit(application, [Write(_action_key(record), document_of(record), force=True) for record in part])


async def forget_actions(application: str, operation_id: str, first: int) -> None:
    """Forget the actions of an earlier survey from this one on: the new one has fewer."""
    async for row in scan(application, f"action:{operation_id}:"):
        if int(row.key.rpartition(":")[2]) >= first:
            await commit(application, [Write(row.key, None, etag=row.etag)])


async def write_action(application: str, record: ActionRecord) -> None:
    """Write what became of an action; two runs of the same action tell the same, the last writer wins."""
    await commit(application, [Write(_action_key(record), document_of(record), force=True)])


async def actions(application: str, operation_id: str, wave: int | None = None) -> AsyncIterator[ActionRecord]:
    """The actions of an operation in their order; of one wave only, if it is given."""
    async for row in scan(application, f"action:{operation_id}:"):
        record = ActionRecord.model_validate(row.document)
        if wave is None or record.wave == wave:
            yield record


async def counts(application: str, operation_id: str) -> Counts:
    """How the actions of an operation stand."""
    found = dict.fromkeys(ActionState, 0)
    async for record in actions(application, operation_id):
        found[record.state] += 1
    return Counts(**{str(state): number for state, number in found.items()})
