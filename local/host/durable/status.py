"""Instance status and history as the durable HTTP API shows them (StatusResponsePayload.cs)."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from local.host.durable.events import Event, Kind
from local.host.durable.store import Instance

_CHILD_ENDS = (Kind.SUB_ORCHESTRATION_INSTANCE_COMPLETED, Kind.SUB_ORCHESTRATION_INSTANCE_FAILED)
_ENDS = (Kind.TASK_COMPLETED, Kind.TASK_FAILED, *_CHILD_ENDS)
_STARTS = (Kind.TASK_SCHEDULED, Kind.SUB_ORCHESTRATION_INSTANCE_CREATED)
_HIDDEN = (Kind.ORCHESTRATOR_STARTED, Kind.ORCHESTRATOR_COMPLETED)


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _token(text: str | None) -> Any:
    """A stored payload as JSON; text that is none stays text."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def payload(instance: Instance, *, show_input: bool, history: list[Event] | None = None) -> dict[str, Any]:
    """Build the status document, in the extension's order of fields."""
    document = {
        "name": instance.name,
        "instanceId": instance.id,
        "runtimeStatus": instance.status,
        "input": _token(instance.input) if show_input else None,
        "customStatus": _token(instance.custom_status),
        "output": _token(instance.output),
        "createdTime": _time(instance.created),
        "lastUpdatedTime": _time(instance.updated),
    }
    return document if history is None else {**document, "historyEvents": history}


def history(raw: Sequence[str], *, show_output: bool, show_input: bool) -> list[Event]:
    """Merge what was scheduled into its completion and drop what only replay needs."""
    events = [json.loads(item) for item in raw]
    scheduled = {e["EventId"]: e for e in events if e["EventType"] in _STARTS}
    ended = {e["TaskScheduledId"] for e in events if e["EventType"] in _ENDS}
    shown = []
    for item in events:
        kind = Kind(item["EventType"])
        if kind in _HIDDEN or (kind in _STARTS and item["EventId"] in ended):
            continue
        shown.append(_shown(item, kind, scheduled, show_output=show_output, show_input=show_input))
    return shown


def _shown(item: Event, kind: Kind, scheduled: dict[int, Event], *, show_output: bool, show_input: bool) -> Event:
    name = "".join(word.capitalize() for word in kind.name.split("_"))
    event = {**item, "EventType": name}
    if kind in _ENDS and (start := scheduled.get(event.pop("TaskScheduledId"))):
        event |= {"ScheduledTime": start["Timestamp"], "FunctionName": start["Name"]}
    if kind is Kind.EXECUTION_STARTED:
        event["FunctionName"] = event.pop("Name")
        for field in ("OrchestrationInstance", "ParentInstance", "Version", "Tags"):
            event.pop(field, None)
    if "Result" in event:
        event["Result"] = _token(event["Result"])
        if not show_output:
            del event["Result"]
    if not show_input:
        event.pop("Input", None)
    event.pop("TimerId", None)
    event.pop("EventId")
    return event
