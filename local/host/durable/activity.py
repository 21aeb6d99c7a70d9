"""Runs one activity and commits its result together with the removal of its row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.host.durable.events import Kind, dump, event
from local.host.durable.mirror import missing
from local.host.durable.store import Activity
from local.host.errors import FunctionError
from local.host.extensions import Services
from local.host.functions import Function


@dataclass(frozen=True)
class ActivityRunner:
    """At least once: the row stays until the result is committed."""

    services: Services
    functions: Mapping[str, Function]

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
        store = self.services.store
        with store.transaction():
            if store.delete_activity(activity.number):
                store.put_message(activity.instance_id, event(kind, report), activity.execution_id)

    async def _result(self, activity: Activity) -> str | None:
        function = self.functions.get(activity.name)
        if function is None:
            raise FunctionError(missing(activity.name, "activity"))
        reason = f"activity of {activity.instance_id}"
        result = await self.services.run(function, reason, ("string", activity.input), activity.trace)
        _, value = result.returned
        return None if value in (None, "null") else str(value)
