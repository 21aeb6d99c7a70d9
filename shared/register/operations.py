"""Day-2 operations, their planned actions, and the one way in which their state changes."""

from collections.abc import AsyncIterator, Callable, Sequence
from itertools import batched

from shared.models.operations import TRANSITIONS, ActionRecord, ActionState, Counts, OperationRecord, OperationState
from shared.register import audit
from shared.register._records import (
    change_record,
    create_record,
    find_record,
    get_record,
    records_in_states,
    records_of,
)
from shared.register._table import Row, Write, commit, document_of, scan

_ROWS = 90  # a transaction has at most 100 rows


def operation_key(operation_id: str) -> str:
    """Row key of an operation."""
    return f"operation:{operation_id}"


def _action_key(record: ActionRecord) -> str:
    return f"action:{record.operation_id}:{record.order:06d}"


async def find(application: str, operation_id: str) -> OperationRecord | None:
    """The operation, or None."""
    return await find_record(OperationRecord, application, operation_key(operation_id))


async def get(application: str, operation_id: str) -> OperationRecord:
    """The operation, which must exist."""
    return await get_record(OperationRecord, application, operation_key(operation_id))


async def of_application(application: str) -> list[OperationRecord]:
    """The operations of an application, newest first."""
    return await records_of(OperationRecord, application, operation_key(""))


def in_states(states: Sequence[OperationState]) -> AsyncIterator[OperationRecord]:
    """The operations of all applications that are in one of the states."""
    return records_in_states(OperationRecord, "operation", states)


async def create(record: OperationRecord, entry: audit.Entry) -> OperationRecord:
    """Record a new operation with its audit entry; a repeat returns what is there, whatever it asks for."""
    return await create_record(record.application, operation_key(record.id), record, entry)


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
