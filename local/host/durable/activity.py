"""Runs one activity and commits its result together with the removal of its row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.host.durable.events import Kind, dump, event
from local.host.durable.mirror import missing
from local.host.durable.store import Activity, Store
from local.host.errors import FunctionError
from local.host.frames import Value
from local.host.functions import Function
from local.host.invoker import Call, Invoker


@dataclass(frozen=True)
class ActivityRunner:
    """At least once: the row stays until the result is committed."""

    store: Store
    invoker: Invoker
    functions: Mapping[str, Function]
    client_inputs: Callable[[Function], list[tuple[str, Value]]]

    async def run(self, activity: Activity) -> None:
        """Run it; a failure of the function is a result too. Raises WorkerLostError: run it again."""
        report: dict[str, Any] = {"TaskScheduledId": activity.task}
        try:
            report["Result"] = await self._result(activity)
            kind = Kind.TASK_COMPLETED
        except FunctionError as error:
            kind = Kind.TASK_FAILED
            # Two spaces: what the extension makes of the worker's RpcException label.
            report["Reason"] = f"Activity function '{activity.name}' failed:  {error.message}"
            details = {"ClassName": "System.Exception", "Message": f" {error.message}", "StackTraceString": error.stack}
            report["Details"] = dump({"$type": "System.Exception", **details})
        with self.store.transaction():
            if self.store.delete_activity(activity.number):
                self.store.put_message(activity.instance_id, event(kind, report), activity.execution_id)

    async def _result(self, activity: Activity) -> str | None:
        function = self.functions.get(activity.name)
        if function is None:
            raise FunctionError(missing(activity.name, "activity"))
        payload: list[tuple[str, Value]] = [(function.trigger["name"], ("string", activity.input))]
        inputs = payload + self.client_inputs(function)
        call = Call(function, f"activity of {activity.instance_id}", inputs, trace=activity.trace)
        result = await self.invoker.invoke(call)
        _, value = result.returned
        return None if value in (None, "null") else str(value)
