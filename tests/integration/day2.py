"""Day-2 operations without a host: the real orchestrator, the real activities, and a clock that only timers move."""

import asyncio
import importlib
import itertools
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orchestrators
from activities._activity import registered
from orchestrators._day2 import OPERATIONS
from shared.errors import TransientIntegrationError
from shared.models.operations import ActionRecord, AskedOperation, Occasion, OperationInput, OperationRecord
from shared.models.records import RequestRecord
from shared.names import environment_names
from shared.plan import zone_of
from shared.register import applications, operations
from shared.register.audit import Entry
from tests.integration.world import DurableClient, World
from triggers._operation_intake import accept

for found in pkgutil.iter_modules(orchestrators.__path__, f"{orchestrators.__name__}."):
    importlib.import_module(found.name)  # importing registers

_keys = itertools.count(1)
GROUPS, VAULTS, STORAGE = "2025-04-01", "2026-05-15", "2025-06-01"


class WorkerDiedError(BaseException):
    """The process is gone between two lines; nothing catches it."""


@dataclass
class Timer:
    at: datetime

    def cancel(self) -> None:
        return None


@dataclass
class Conductor:
    """The part of the durable context that flows use.

    Attributes:
        twice: whether each activity runs a second time, as after a lost result.
        dies_after: number of the activity after whose effect the worker dies; its result is lost.
        on_wait: called instead of waiting for an event; returns, at once or awaited, whether the event came.
        on_timer: called while a timer runs.
        retry_seconds: so long a failed activity waits for its next try.
        history: results of the activities that ended in earlier lives of the worker: they are not called again.
    """

    payload: dict[str, Any]
    twice: bool = False
    dies_after: int | None = None
    on_wait: Callable[[], bool | Awaitable[bool]] = lambda: False
    on_timer: Callable[[], None] = lambda: None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    retry_seconds: float = 0.0
    calls: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    instance_id: str = "test"

    @property
    def current_utc_datetime(self) -> datetime:
        return self.now

    def get_input(self) -> dict[str, Any]:
        return self.payload

    def call_activity_with_retry(self, name: str, options: Any, payload: dict[str, Any]) -> tuple[Any, ...]:
        return ("activity", name, payload, options.max_number_of_attempts)

    def call_sub_orchestrator(self, name: str, payload: dict[str, Any], _instance: str) -> tuple[Any, ...]:
        return ("child", name, payload)

    def create_timer(self, at: datetime) -> Timer:
        return Timer(at)

    def wait_for_external_event(self, name: str) -> str:
        return name

    def task_all(self, tasks: list[Any]) -> list[Any]:
        return tasks

    def task_any(self, tasks: list[Any]) -> tuple[Any, ...]:
        return ("any", tasks)

    async def perform(self, flow: Any) -> Any:
        """Drive a flow to its end, as often as Durable Functions would call it."""
        task: Any = None
        send: Any = flow.send
        try:
            while True:
                task = send(task)
                send = flow.send
                try:
                    task = await self._answer(task)
                except TransientIntegrationError as error:
                    send, task = flow.throw, Exception(str(error))
        except StopIteration as end:
            return end.value

    async def _answer(self, task: Any) -> Any:
        if isinstance(task, Timer):
            self.on_timer()
            self.now = max(self.now, task.at)
            return None
        if isinstance(task, list):
            return [await self._answer(item) for item in task]
        if task[0] == "any":
            event, timer = task[1]
            came = self.on_wait()
            if came if isinstance(came, bool) else await came:
                return event
            self.now = max(self.now, timer.at)
            return timer
        return await self._activity(*task[1:])

    async def _activity(self, name: str, payload: dict[str, Any], tries: int) -> dict[str, Any]:
        self.calls.append(name)
        number = len(self.calls)
        if number <= len(self.history):
            return self.history[number - 1]
        for attempt in range(1, tries + 1):
            try:
                result = await registered(name)(payload)
            except TransientIntegrationError:
                if attempt == tries:
                    raise
                await asyncio.sleep(self.retry_seconds)
            else:
                break
        if self.dies_after == number:
            raise WorkerDiedError(name)
        if self.twice:
            result = await registered(name)(payload)
        self.history.append(result)
        return result


async def active(world: World, **changes: Any) -> RequestRecord:
    """An application that was made: its row is active, and its groups are there with the tags of the plan."""
    record = await world.order(**changes)
    entry = Entry(f"{record.id}:made", record.created_at, "test", "made", record.id, "test")
    await applications.change(record.application, lambda old: (old.model_copy(update={"state": "active"}), entry))
    for environment in record.body.environments:
        world.azure(group_of(record, environment), GROUPS, "PUT", {"location": "westeurope", "tags": {}})
    return record


def group_of(record: RequestRecord, environment: str = "dev") -> str:
    """ARM id of an environment's resource group."""
    group = environment_names(record.application, environment, record.id).resource_group
    return f"/subscriptions/{zone_of(record, environment).subscription_id}/resourceGroups/{group}"


async def ask(record: RequestRecord, operation: str, **fields: Any) -> OperationRecord:
    """Ask for an operation; it is recorded and not started."""
    client: Any = DurableClient()
    asked = AskedOperation(
        **{
            "operation": operation,
            "application": record.application,
            "occasion": Occasion.REQUEST,
            "business_key": f"key-{next(_keys)}",
            "requester": "requester",
            "requester_name": "requester",
        }
        | fields
    )
    return await accept(client, asked)


async def perform(record: OperationRecord, **how: Any) -> OperationRecord:
    """Run the operation's orchestration to its end; returns the operation as it is then."""
    payload = OperationInput(
        request_id=record.id,
        application=record.application,
        attempt=record.attempt,
        flow_version=record.flow_version,
    )
    conductor = Conductor(dict(payload.document()), **how)
    name = OPERATIONS[record.operation].orchestrator
    flow = importlib.import_module(f"{orchestrators.__name__}.{name}")
    await conductor.perform(getattr(flow, name)(conductor, payload))
    return await operations.get(record.application, record.id)


async def operate(request: RequestRecord, operation: str, **fields: Any) -> OperationRecord:
    """Ask for an operation and run it."""
    return await perform(await ask(request, operation, **fields))


async def rows(record: OperationRecord) -> list[ActionRecord]:
    """The operation's actions."""
    return [row async for row in operations.actions(record.application, record.id)]
