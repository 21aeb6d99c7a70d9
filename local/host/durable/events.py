"""History events as the Durable Task Framework writes them (PascalCase, numbered kinds, ISO timestamps)."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

type Event = dict[str, Any]


class Kind(IntEnum):
    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_FAILED = 2
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_INSTANCE_CREATED = 7
    SUB_ORCHESTRATION_INSTANCE_COMPLETED = 8
    SUB_ORCHESTRATION_INSTANCE_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


def now() -> datetime:
    return datetime.now(UTC)


def text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(value: str) -> datetime:
    parsed = datetime.fromisoformat(value)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def event(
    kind: Kind, fields: Mapping[str, Any] | None = None, *, number: int = -1, at: datetime | None = None
) -> Event:
    """Build an event; `number` is the task id of what was scheduled."""
    return {"EventType": int(kind), "EventId": number, "Timestamp": text(at or now()), **(fields or {})}


def execution_started(
    name: str, version: str, payload: str | None, identity: tuple[str, str], parent: Event | None
) -> Event:
    """Build the first event of an execution; `Version` must be present, the SDK looks it up."""
    instance_id, execution_id = identity
    return event(
        Kind.EXECUTION_STARTED,
        {
            "OrchestrationInstance": {"InstanceId": instance_id, "ExecutionId": execution_id},
            "ParentInstance": parent,
            "Name": name,
            "Version": version,
            "Input": payload,
            "Tags": None,
        },
    )
