"""The row of an operation that is asked for, whoever asks."""

from typing import Any

from shared.canonical import digest
from shared.clock import utc_now
from shared.instance_ids import operation_id, operation_instance
from shared.models.operations import FLOW_VERSION, AskedOperation, OperationRecord, OperationState
from shared.models.records import ApplicationRecord


def recorded(asked: AskedOperation, application: ApplicationRecord, parameters: dict[str, Any]) -> OperationRecord:
    """The new operation. Its id is derived from its business key, its body from everything that must not differ."""
    identifier, now = operation_id(application.name, asked.operation, asked.business_key), utc_now()
    body = {
        "operation": asked.operation,
        "environment": asked.environment,
        "parameters": parameters,
        "dryRun": asked.dry_run,
    }
    return OperationRecord(
        id=identifier,
        operation=asked.operation,
        application=asked.application,
        environment=asked.environment,
        parameters=parameters,
        occasion=asked.occasion,
        business_key=asked.business_key,
        dry_run=asked.dry_run,
        state=OperationState.RECEIVED,
        requester=asked.requester,
        requester_name=asked.requester_name,
        owner_team=application.owner_team,
        reason=asked.reason,
        body_hash=digest(body),
        flow_version=FLOW_VERSION,
        instance_id=operation_instance(identifier, 1),
        created_at=now,
        updated_at=now,
    )
