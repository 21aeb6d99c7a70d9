"""One episode of an orchestration: replay it in the worker, then commit everything it decided at once."""

import json
import logging
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from local.host.durable.events import Event, Kind, dump, event, execution_started, now, text
from local.host.durable.mirror import Mirror, Names, OrchestrationFailedError, Scheduled
from local.host.durable.store import Activity, Instance, Message, Store
from local.host.errors import FunctionError, FunctionTimeoutError
from local.host.functions import Function
from local.host.invoker import Call, Invoker
from local.host.settings import DurableSettings

_log = logging.getLogger("local.host.durable")
_STATE_MARK = "\n\n$OutOfProcData$:"
_CACHED = 500


@dataclass
class Effects:
    """What the engine has to do after the commit."""

    wake: list[tuple[float, str]] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)


@dataclass
class _History:
    """Events of one execution, parsed and as JSON text; kept for running instances."""

    execution_id: str
    events: list[Event]
    raw: list[str]

    def extend(self, events: list[Event]) -> None:
        self.events.extend(events)
        self.raw.extend(dump(item) for item in events)


class Episodes:
    """Runs episodes; per instance one at a time (the engine sees to that)."""

    def __init__(
        self,
        store: Store,
        invoker: Invoker,
        orchestrators: dict[str, Function],
        names: Names,
        settings: DurableSettings,
    ) -> None:
        self._store, self._invoker, self._settings = store, invoker, settings
        self._orchestrators, self._names = orchestrators, names
        self._histories: OrderedDict[str, _History] = OrderedDict()

    def forget(self, instance_id: str) -> None:
        """Drop the cached history: the instance was purged or started again."""
        self._histories.pop(instance_id, None)

    async def run(self, instance_id: str) -> Effects:
        """Deliver all due messages; raises WorkerLostError or FunctionTimeoutError with nothing changed."""
        effects = Effects()
        instance = self._store.instance(instance_id)
        messages = self._store.due_messages(instance_id)
        if not messages:
            return effects
        if instance is None or instance.finished:
            with self._store.transaction():
                self._store.delete_messages(messages)
            return effects
        events = [m.event for m in messages if m.execution_id in (None, instance.execution_id)]
        kinds = {item["EventType"] for item in events}
        if Kind.EXECUTION_TERMINATED in kinds:
            self._terminate(instance, events, effects)
        elif instance.status == "Suspended" or Kind.EXECUTION_SUSPENDED in kinds:
            self._hold(instance, messages, effects)
        else:
            await self._advance(instance, messages, events, effects)
        return effects

    def _terminate(self, instance: Instance, events: list[Event], effects: Effects) -> None:
        last = next(item for item in events if item["EventType"] == Kind.EXECUTION_TERMINATED)
        history = self._history(instance)
        with self._store.transaction():
            self._finish(instance, history, [last], ("Terminated", last["Input"]), effects)

    def _hold(self, instance: Instance, messages: list[Message], effects: Effects) -> None:
        """Suspended: only lifecycle events are taken, everything else waits in the inbox."""
        status, taken = instance.status, []
        for message in messages:
            kind = message.event["EventType"]
            if kind in (Kind.EXECUTION_SUSPENDED, Kind.EXECUTION_RESUMED):
                status = "Suspended" if kind == Kind.EXECUTION_SUSPENDED else "Running"
                taken.append(message)
        with self._store.transaction():
            self._store.delete_messages(taken)
            if taken:
                self._store.update(instance.id, status=status)
        if status != "Suspended":
            effects.wake.append((0.0, instance.id))

    def _history(self, instance: Instance) -> _History:
        cached = self._histories.get(instance.id)
        if cached is not None and cached.execution_id == instance.execution_id:
            self._histories.move_to_end(instance.id)
            return cached
        raw = self._store.history(instance.id)
        return _History(instance.execution_id, [json.loads(item) for item in raw], raw)

    async def _advance(
        self, instance: Instance, messages: list[Message], events: list[Event], effects: Effects
    ) -> None:
        history = self._history(instance)
        arrived = [item for item in events if item["EventType"] != Kind.EXECUTION_RESUMED]
        # An event may have come in before the first episode; the execution still starts first.
        arrived.sort(key=lambda item: item["EventType"] != Kind.EXECUTION_STARTED)
        new = [event(Kind.ORCHESTRATOR_STARTED), *arrived]
        state, failure = await self._replay(instance, history, new)
        mirror = Mirror(instance.execution_id, state, self._names)
        try:
            for item in () if failure else (*history.events, *new):
                mirror.feed(item)
        except OrchestrationFailedError as error:
            failure = str(error)
        with self._store.transaction():
            self._store.delete_messages(messages)
            kept = self._commit(instance, history, new, (mirror, state, failure), effects)
        if kept is None:
            self.forget(instance.id)
            return
        history.extend(kept)
        self._histories[instance.id] = history
        while len(self._histories) > _CACHED:
            self._histories.popitem(last=False)

    async def _replay(
        self, instance: Instance, history: _History, new: list[Event]
    ) -> tuple[dict[str, Any], str | None]:
        """Run the orchestrator function; its state, and why it cannot run at all."""
        nothing: dict[str, Any] = {"actions": [[]]}
        function = self._orchestrators.get(instance.name)
        if function is None:
            return (
                nothing,
                f"The function '{instance.name}' doesn't exist, is disabled, or is not an orchestrator function.",
            )
        value = ("string", _context(instance, history.raw, new))
        call = Call(function, f"orchestration {instance.id}", [(function.trigger["name"], value)], trace=instance.trace)
        try:
            result = await self._invoker.invoke(call)
        except FunctionTimeoutError:
            raise
        except FunctionError as error:
            message, mark, state = error.message.partition(_STATE_MARK)
            return (json.loads(state), None) if mark else (nothing, message)
        return json.loads(result.returned[1]), None

    def _commit(
        self,
        instance: Instance,
        history: _History,
        new: list[Event],
        decided: tuple[Mirror, dict[str, Any], str | None],
        effects: Effects,
    ) -> list[Event] | None:
        """Write what was decided (inside the transaction); the events to keep, or None when the execution ended."""
        mirror, state, failure = decided
        custom = state.get("customStatus")
        status = instance.custom_status if custom is None else dump(custom)
        if failure is None:
            new = new + [self._write(instance, item, effects) for item in mirror.new.values()]
            if mirror.failure is not None and not mirror.open:
                failure = mirror.failure
        if failure is not None:
            outcome: tuple[str, str | None] = ("Failed", f"Orchestrator function '{instance.name}' failed: {failure}")
        elif not mirror.finished or mirror.open:
            new.append(event(Kind.ORCHESTRATOR_COMPLETED))
            self._store.append_history(instance.id, len(history.raw), [dump(item) for item in new])
            self._store.update(instance.id, status="Running", custom_status=status)
            return new
        elif mirror.continued:
            self._store.update(instance.id, custom_status=status)
            self._continue_as_new(instance, mirror, effects)
            return None
        else:
            outcome = ("Completed", None if state.get("output") is None else dump(state["output"]))
        self._store.update(instance.id, custom_status=status)
        self._finish(instance, history, new, outcome, effects)
        return None

    def _write(self, instance: Instance, item: Scheduled, effects: Effects) -> Event:
        """Schedule one thing and return its history event."""
        if item.kind == "timer":
            due = item.fire_at.timestamp()
            fired = event(Kind.TIMER_FIRED, {"TimerId": item.number, "FireAt": text(item.fire_at)})
            fired["Timestamp"] = text(max(item.fire_at, now()))
            self._store.put_message(instance.id, fired, instance.execution_id, due)
            effects.wake.append((due, instance.id))
            return event(Kind.TIMER_CREATED, {"FireAt": text(item.fire_at)}, number=item.number)
        stored = item.input if self._settings.store_inputs else None
        details: dict[str, Any] = {"Name": item.name, "Version": item.version, "Input": stored}
        if item.kind == "activity":
            payload = item.input if isinstance(item.input, str) else dump(item.input)
            effects.activities.append(self._store.add_activity(instance, item.number, item.name, payload))
            return event(Kind.TASK_SCHEDULED, details, number=item.number)
        self._start_child(instance, item, effects)
        details["InstanceId"] = item.instance_id
        return event(Kind.SUB_ORCHESTRATION_CREATED, details, number=item.number)

    def _start_child(self, instance: Instance, item: Scheduled, effects: Effects) -> None:
        existing = self._store.instance(item.instance_id)
        if existing is not None and not existing.finished:
            reason = f"An Orchestration instance with the status {existing.status} already exists."
            failed = {"TaskScheduledId": item.number, "Reason": reason, "Details": dump({"Message": reason})}
            self._store.put_message(instance.id, event(Kind.SUB_ORCHESTRATION_FAILED, failed), instance.execution_id)
            effects.wake.append((0.0, instance.id))
            return
        self.forget(item.instance_id)
        parent = {
            "Name": instance.name,
            "OrchestrationInstance": {"InstanceId": instance.id, "ExecutionId": instance.execution_id},
            "TaskScheduleId": item.number,
            "Version": "",
        }
        version = item.version or self._settings.default_version
        payload = dump(item.input)
        self._store.create(item.name, item.instance_id, payload, version=version, trace=instance.trace, parent=parent)
        effects.wake.append((0.0, item.instance_id))

    def _continue_as_new(self, instance: Instance, mirror: Mirror, effects: Effects) -> None:
        execution_id, payload = uuid.uuid4().hex, dump(mirror.next_input)
        self._store.delete_history(instance.id)
        self._store.delete_inbox(instance.id, fenced_only=True)
        self._store.update(instance.id, execution_id=execution_id, status="ContinuedAsNew", input=payload)
        identity = (instance.id, execution_id)
        first = execution_started(instance.name, instance.version, payload, identity, instance.lineage)
        self._store.put_message(instance.id, first, execution_id)
        for carried in mirror.carried:
            self._store.put_message(instance.id, carried)
        effects.wake.append((0.0, instance.id))

    def _finish(
        self,
        instance: Instance,
        history: _History,
        events: list[Event],
        outcome: tuple[str, str | None],
        effects: Effects,
    ) -> None:
        """Write the last events, empty the inbox and tell the parent (inside the transaction)."""
        status, output = outcome
        ending = event(Kind.EXECUTION_COMPLETED, {"OrchestrationStatus": status, "Result": output})
        last = [*events, ending, event(Kind.ORCHESTRATOR_COMPLETED)]
        self._store.append_history(instance.id, len(history.raw), [dump(item) for item in last])
        self._store.update(instance.id, status=status, output=output)
        self._store.delete_inbox(instance.id)
        self.forget(instance.id)
        effects.finished.append(instance.id)
        if status == "Failed":
            _log.warning("Orchestration %s failed: %s", instance.id, output)
        if parent := instance.lineage:
            report: dict[str, Any] = {"TaskScheduledId": parent["TaskScheduleId"]}
            kind = Kind.SUB_ORCHESTRATION_COMPLETED
            if status == "Completed":
                report["Result"] = output
            else:
                kind = Kind.SUB_ORCHESTRATION_FAILED
                report |= {"Reason": output, "Details": dump({"Message": output})}
            parent_id, parent_execution = parent["OrchestrationInstance"].values()
            self._store.put_message(parent_id, event(kind, report), parent_execution)
            effects.wake.append((0.0, parent_id))


def _context(instance: Instance, past: list[str], new: list[Event]) -> str:
    """Assemble the orchestrator's input by hand: past events are stored as text and stay text."""
    history = [item[:-1] + ',"IsPlayed":true}' for item in past]
    history += [dump(item)[:-1] + ',"IsPlayed":false}' for item in new]
    parent = instance.lineage
    rest = dump(
        {
            "instanceId": instance.id,
            "isReplaying": bool(past),
            "parentInstanceId": parent and parent["OrchestrationInstance"]["InstanceId"],
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "longRunningTimerIntervalDuration": None,
            "maximumShortTimerDuration": None,
            "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
        }
    )
    return f'{{"history":[{",".join(history)}],"input":{instance.input or "null"},{rest[1:]}'
