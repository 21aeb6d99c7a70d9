"""Mirror of the extension's out-of-process shim.

The Python SDK answers every episode with the cumulative list of actions and without task ids. The real extension walks
that list while the Durable Task Framework feeds it the history, and allocates one id per activity, timer and
sub-orchestration in that order (OutOfProcOrchestrationShim.cs, TaskOrchestrationContext.cs). Walking the same way
yields the ids the SDK expects, finds what is new, and detects code that no longer fits its history.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from local.host.durable.events import Event, Kind, moment
from local.host.durable.tasks import Steps, Task, TaskFailedError, gather, run, settled

_SCHEDULING = {
    Kind.TASK_SCHEDULED: "activity",
    Kind.TIMER_CREATED: "timer",
    Kind.SUB_ORCHESTRATION_INSTANCE_CREATED: "sub-orchestration",
}
_COMPLETIONS = {
    Kind.TASK_COMPLETED: ("TaskScheduledId", "Result"),
    Kind.SUB_ORCHESTRATION_INSTANCE_COMPLETED: ("TaskScheduledId", "Result"),
    Kind.TIMER_FIRED: ("TimerId", None),
}
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
_REFUSED = {7: "call_entity", 8: "call_http", 9: "signal_entity", 10: "signal_entity (scheduled)"}


class OrchestrationFailedError(Exception):
    """The orchestration fails at once: it asked for what does not exist or does not fit its history."""


@dataclass(frozen=True)
class Scheduled:
    """Something the orchestrator scheduled under a task id."""

    number: int
    kind: str
    name: str = ""
    input: Any = None
    instance_id: str = ""
    version: str = ""
    fire_at: datetime = _LONG_AGO


@dataclass(frozen=True)
class Names:
    """The functions an orchestrator may call."""

    activities: Container[str]
    orchestrators: Container[str]


class Mirror:
    """Feed it the whole history, then read `new`, `finished`, `failure`, `continued` and `carried`."""

    def __init__(self, execution_id: str, state: dict[str, Any], names: Names) -> None:
        self._execution_id, self._state, self._names = execution_id, state, names
        self._next = 0
        self._now = _LONG_AGO
        self._waiting: defaultdict[str, list[Task]] = defaultdict(list)
        self._early: defaultdict[str, deque[str | None]] = defaultdict(deque)
        self.open: dict[int, Task] = {}
        self.new: dict[int, Scheduled] = {}
        self.finished = False
        self.failure: str | None = None
        self.continued = False
        self.next_input: Any = None
        self.carried: list[Event] = []

    # What the orchestrator asked for.

    def _schedule(self, kind: str, **details: Any) -> Task:
        number = self._next
        self._next += 1
        self.new[number] = Scheduled(number, kind, **details)
        task = self.open[number] = Task()
        return task

    def _activity(self, action: dict[str, Any]) -> Task:
        name = action["functionName"]
        if name not in self._names.activities:
            raise OrchestrationFailedError(missing(name, "activity"))
        return self._schedule("activity", name=name, input=action.get("input"))

    def _sub_orchestration(self, action: dict[str, Any]) -> Task:
        name = action["functionName"]
        if name not in self._names.orchestrators:
            raise OrchestrationFailedError(missing(name, "orchestrator"))
        instance_id = action.get("instanceId") or f"{self._execution_id}:{self._next:x}"
        version = action.get("version") or ""
        details = {"name": name, "input": action.get("input"), "instance_id": instance_id, "version": version}
        return self._schedule("sub-orchestration", **details)

    def _timer(self, action: dict[str, Any]) -> Task:
        number = self._next
        task = self._schedule("timer", fire_at=moment(action["fireAt"]))
        if action.get("isCanceled"):
            del self.open[number]
            task.settle("canceled", succeeded=False)
        return task

    def _external_event(self, action: dict[str, Any]) -> Task:
        name, task = action["externalEventName"], Task()
        self._waiting[name].append(task)
        if self._early[name]:
            self._raise(name, self._early[name].popleft())
        return task

    def _raise(self, name: str, payload: str | None) -> None:
        if self._waiting[name]:
            self._waiting[name].pop().settle(payload)  # the newest waiter first, as the extension's stack
        else:
            self._early[name].append(payload)

    def _retry(self, attempt: Callable[[], Task], options: dict[str, Any]) -> Steps:
        attempts, wait = options["maxNumberOfAttempts"], options["firstRetryIntervalInMilliseconds"]
        for count in range(1, attempts + 1):
            task = yield attempt()
            if task.succeeded:
                return task.value
            last = count == attempts
            # The framework creates a timer after the last attempt too; the SDK counts on its id.
            delay = timedelta() if last else timedelta(milliseconds=wait)
            yield self._schedule("timer", fire_at=self._now + delay)
            if last:
                raise TaskFailedError(str(task.value))
        return None

    def _continue_as_new(self, action: dict[str, Any]) -> Task:
        self.continued, self.next_input = True, action.get("input")
        return settled()

    def _perform(self, action: dict[str, Any]) -> Task:
        kind = action["actionType"]
        simple = {0: self._activity, 2: self._sub_orchestration, 4: self._continue_as_new, 5: self._timer}
        simple[6] = self._external_event
        if kind in simple:
            return simple[kind](action)
        if kind in (1, 3):  # the same with a retry policy
            return run(self._retry(lambda: simple[kind - 1](action), action["retryOptions"]))
        if kind in (11, 12):
            return gather([self._perform(part) for part in action["compoundActions"]], wait_for_all=kind == 12)
        raise OrchestrationFailedError(
            f"The durable call {_REFUSED.get(kind, f'of action type {kind}')} is not implemented by this local host."
        )

    def _script(self) -> Steps:
        for action in self._state["actions"][0]:
            yield self._perform(action)
        if self._state.get("error"):
            raise TaskFailedError(self._state["error"])
        if not self._state.get("isDone"):
            yield Task()

    # What happened.

    def feed(self, event: Event) -> None:
        """Take the next event; raises OrchestrationFailedError."""
        kind = Kind(event["EventType"])
        if kind is Kind.ORCHESTRATOR_STARTED:
            self._now = moment(event["Timestamp"])
        elif kind is Kind.EXECUTION_STARTED:
            run(self._script()).then(self._end)
        elif kind in _SCHEDULING:
            self._compare(event, _SCHEDULING[kind])
        elif kind in _COMPLETIONS:
            number, result = _COMPLETIONS[kind]
            if task := self.open.pop(event[number], None):
                task.settle(event.get(result) if result else None)
        elif kind in (Kind.TASK_FAILED, Kind.SUB_ORCHESTRATION_INSTANCE_FAILED):
            if task := self.open.pop(event["TaskScheduledId"], None):
                task.settle(event.get("Reason"), succeeded=False)
        elif kind is Kind.EVENT_RAISED and self.continued:
            self.carried.append(event)
        elif kind is Kind.EVENT_RAISED:
            self._raise(event["Name"], event.get("Input"))

    def _end(self, script: Task) -> None:
        if script.succeeded:
            self.finished = True
        else:
            self.failure = str(script.value)

    def _compare(self, event: Event, kind: str) -> None:
        scheduled = self.new.pop(event["EventId"], None)
        name = event.get("Name") or ""
        if scheduled and scheduled.kind == kind and (kind == "timer" or scheduled.name.lower() == name.lower()):
            return
        found = f"scheduled the {scheduled.kind} '{scheduled.name}'" if scheduled else "has not scheduled this task"
        raise OrchestrationFailedError(
            f"Non-Deterministic workflow detected: A previous execution of this orchestration scheduled the {kind} "
            f"'{name}' with sequence ID {event['EventId']}, but the current replay {found}. Was a change made to the "
            "orchestrator code after this instance had already started running?"
        )


def missing(name: str, role: str) -> str:
    """The extension's sentence about an unknown function."""
    return f"The function '{name}' doesn't exist, is disabled, or is not an {role} function."
