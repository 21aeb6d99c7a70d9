"""Writes what one episode decided; every method runs inside the episode's transaction."""

import logging
import uuid
from dataclasses import dataclass, field
from typing import Any

from local.host.durable.events import Event, Kind, dump, event, execution_started, now, text
from local.host.durable.mirror import Mirror, Scheduled
from local.host.durable.store import Activity, Instance, Store
from local.host.settings import DurableSettings

_log = logging.getLogger("local.host.durable")


@dataclass
class Effects:
    """What the engine has to do after the commit."""

    wake: list[tuple[float, str]] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Commit:
    """The writes of one episode of `instance`, whose history so far has `recorded` events."""

    store: Store
    settings: DurableSettings
    instance: Instance
    recorded: int
    effects: Effects

    def decide(
        self, new: list[Event], mirror: Mirror, state: dict[str, Any], failure: str | None
    ) -> list[Event] | None:
        """Go on, end or continue as new; returns the events to keep, or None when the execution ended."""
        if (custom := state.get("customStatus")) is not None:
            self.store.update(self.instance.id, custom_status=dump(custom))
        if failure is None:
            new = new + [self._schedule(item) for item in mirror.new.values()]
            failure = None if mirror.open else mirror.failure
        if failure is not None:
            self.finish(new, "Failed", f"Orchestrator function '{self.instance.name}' failed: {failure}")
        elif not mirror.finished or mirror.open:
            new.append(event(Kind.ORCHESTRATOR_COMPLETED))
            self._append(new)
            self.store.update(self.instance.id, status="Running")
            return new
        elif mirror.continued:
            self._continue_as_new(mirror)
        else:
            self.finish(new, "Completed", None if state.get("output") is None else dump(state["output"]))
        return None

    def finish(self, events: list[Event], status: str, output: str | None) -> None:
        """Write the last events, empty the inbox and tell the parent."""
        ending = event(Kind.EXECUTION_COMPLETED, {"OrchestrationStatus": status, "Result": output})
        self._append([*events, ending, event(Kind.ORCHESTRATOR_COMPLETED)])
        self.store.update(self.instance.id, status=status, output=output)
        self.store.delete_inbox(self.instance.id)
        self.effects.finished.append(self.instance.id)
        if status == "Failed":
            _log.warning("Orchestration %s failed: %s", self.instance.id, output)
        if parent := self.instance.lineage:
            kind, report = Kind.SUB_ORCHESTRATION_INSTANCE_COMPLETED, {"Result": output}
            if status != "Completed":
                kind = Kind.SUB_ORCHESTRATION_INSTANCE_FAILED
                report = {"Reason": output, "Details": dump({"Message": output})}
            parent_id, execution_id = parent["OrchestrationInstance"].values()
            self._send(parent_id, event(kind, {"TaskScheduledId": parent["TaskScheduleId"], **report}), execution_id)

    def _append(self, events: list[Event]) -> None:
        self.store.append_history(self.instance.id, self.recorded, [dump(item) for item in events])

    def _send(self, instance_id: str, message: Event, execution_id: str, due: float = 0.0) -> None:
        self.store.put_message(instance_id, message, execution_id, due)
        self.effects.wake.append((due, instance_id))

    def _schedule(self, item: Scheduled) -> Event:
        """Schedule one thing and return its history event."""
        if item.kind == "timer":
            fired = event(Kind.TIMER_FIRED, {"TimerId": item.number, "FireAt": text(item.fire_at)})
            fired["Timestamp"] = text(max(item.fire_at, now()))
            self._send(self.instance.id, fired, self.instance.execution_id, item.fire_at.timestamp())
            return event(Kind.TIMER_CREATED, {"FireAt": text(item.fire_at)}, number=item.number)
        stored = item.input if self.settings.store_inputs else None
        details: dict[str, Any] = {"Name": item.name, "Version": item.version, "Input": stored}
        if item.kind == "activity":
            payload = item.input if isinstance(item.input, str) else dump(item.input)
            self.effects.activities.append(self.store.add_activity(self.instance, item.number, item.name, payload))
            return event(Kind.TASK_SCHEDULED, details, number=item.number)
        self._start_child(item)
        details["InstanceId"] = item.instance_id
        return event(Kind.SUB_ORCHESTRATION_INSTANCE_CREATED, details, number=item.number)

    def _start_child(self, item: Scheduled) -> None:
        """Start a sub-orchestration; one that still runs under the same id fails the call and is left alone."""
        me = self.instance
        existing = self.store.instance(item.instance_id)
        if existing is not None and not existing.finished:
            reason = f"An Orchestration instance with the status {existing.status} already exists."
            failed = {"TaskScheduledId": item.number, "Reason": reason, "Details": dump({"Message": reason})}
            self._send(me.id, event(Kind.SUB_ORCHESTRATION_INSTANCE_FAILED, failed), me.execution_id)
            return
        identity = {"InstanceId": me.id, "ExecutionId": me.execution_id}
        parent = {"Name": me.name, "OrchestrationInstance": identity, "TaskScheduleId": item.number, "Version": ""}
        version = item.version or self.settings.default_version
        payload = dump(item.input)
        self.store.create(item.name, item.instance_id, payload, version=version, trace=me.trace, parent=parent)
        self.effects.wake.append((0.0, item.instance_id))

    def _continue_as_new(self, mirror: Mirror) -> None:
        me, execution_id, payload = self.instance, uuid.uuid4().hex, dump(mirror.next_input)
        self.store.delete_history(me.id)
        self.store.delete_inbox(me.id, fenced_only=True)
        self.store.update(me.id, execution_id=execution_id, status="ContinuedAsNew", input=payload)
        self._send(
            me.id, execution_started(me.name, me.version, payload, (me.id, execution_id), me.lineage), execution_id
        )
        for carried in mirror.carried:
            self.store.put_message(me.id, carried)
