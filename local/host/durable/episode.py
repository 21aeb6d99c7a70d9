"""One episode of an orchestration: replay it in the worker, then commit everything it decided at once."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.host.durable.commit import Commit, Effects
from local.host.durable.events import Event, Kind, dump, event
from local.host.durable.mirror import Mirror, Names, OrchestrationFailedError, missing
from local.host.durable.store import Instance, Message
from local.host.errors import FunctionError, FunctionTimeoutError
from local.host.extensions import Services
from local.host.functions import Function
from local.host.invoker import Call

_STATE_MARK = "\n\n$OutOfProcData$:"
_CACHED = 500
_CONSTANTS = {
    "upperSchemaVersion": 1,
    "upperSchemaVersionNew": 2,
    "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
    # None: long timers are not split, as on the MSSQL and DTS back ends.
    "longRunningTimerIntervalDuration": None,
    "maximumShortTimerDuration": None,
}


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

    def __init__(self, services: Services, orchestrators: Mapping[str, Function], names: Names) -> None:
        self._store, self._invoker, self._settings = services.store, services.invoker, services.settings.durable
        self._orchestrators, self._names = orchestrators, names
        self._histories: OrderedDict[str, _History] = OrderedDict()

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
        recorded = len(self._history(instance).raw)
        with self._store.transaction():
            Commit(self._store, self._settings, instance, recorded, effects).finish([last], "Terminated", last["Input"])
        self._histories.pop(instance.id, None)

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
        commit = Commit(self._store, self._settings, instance, len(history.raw), effects)
        with self._store.transaction():
            self._store.delete_messages(messages)
            kept = commit.decide(new, mirror, state, failure)
        if kept is None:
            self._histories.pop(instance.id, None)
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
            return nothing, missing(instance.name, "orchestrator")
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


def _context(instance: Instance, past: list[str], new: list[Event]) -> str:
    """Assemble the orchestrator's input by hand: past events are stored as text and stay text."""
    history = [item[:-1] + ',"IsPlayed":true}' for item in past]
    history += [dump(item)[:-1] + ',"IsPlayed":false}' for item in new]
    parent = instance.lineage
    identity: dict[str, Any] = {"instanceId": instance.id, "isReplaying": bool(past)}
    identity["parentInstanceId"] = parent and parent["OrchestrationInstance"]["InstanceId"]
    rest = dump(identity | _CONSTANTS)
    return f'{{"history":[{",".join(history)}],"input":{instance.input or "null"},{rest[1:]}'
