"""What a Durable Functions client may do: start, raise, terminate, suspend, resume, query, purge."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.host.durable.engine import Engine
from local.host.durable.events import Kind, event
from local.host.durable.store import TERMINAL, Instance

_MAX_ID = 100
_CONTROL = {
    "terminate": (Kind.EXECUTION_TERMINATED, "Input"),
    "suspend": (Kind.EXECUTION_SUSPENDED, "Reason"),
    "resume": (Kind.EXECUTION_RESUMED, "Reason"),
}


class ArgumentError(Exception):
    """The caller's arguments are wrong (400)."""


class ConflictError(Exception):
    """The instance is in a state that forbids the operation (500, as the extension answers)."""


@dataclass(frozen=True)
class Filter:
    """Conditions of a query over instances."""

    created_from: float | None = None
    created_to: float | None = None
    statuses: Sequence[str] = ()
    prefix: str = ""

    def sql(self) -> tuple[str, list[Any]]:
        conditions, values = ["1 = 1"], list[Any]()
        if self.created_from is not None:
            conditions.append("created >= ?")
            values.append(self.created_from)
        if self.created_to is not None:
            conditions.append("created <= ?")
            values.append(self.created_to)
        if self.statuses:
            conditions.append(f"status in ({', '.join('?' * len(self.statuses))})")
            values.extend(self.statuses)
        if self.prefix:
            conditions.append("substr(id, 1, ?) = ?")
            values.extend((len(self.prefix), self.prefix))
        return " and ".join(conditions), values


class Client:
    """Operations on instances; each is one transaction and wakes the instance."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._store = engine, engine.store

    def get(self, instance_id: str) -> Instance | None:
        return self._store.instance(instance_id)

    def start(self, name: str, instance_id: str, payload: str | None, *, version: str = "", trace: str = "") -> str:
        """Start an instance; raises ArgumentError, or ConflictError while one with this id is not finished."""
        if name not in self._engine.orchestrators:
            known = ", ".join(f"'{known}'" for known in sorted(self._engine.orchestrators))
            raise ArgumentError(
                f"The function '{name}' doesn't exist, is disabled, or is not an orchestrator function. Additional "
                f"info: The following are the known orchestrator functions: {known}."
            )
        instance_id = instance_id or uuid.uuid4().hex
        _check_id(instance_id)
        existing = self._store.instance(instance_id)
        if existing is not None and not existing.finished:
            raise ConflictError(f"An Orchestration instance with the status {existing.status} already exists.")
        with self._store.transaction():
            version = version or self._engine.settings.default_version
            self._store.create(name, instance_id, payload, version=version, trace=trace)
        self._engine.wake(instance_id)
        return instance_id

    def raise_event(self, instance_id: str, name: str, payload: str) -> None:
        with self._store.transaction():
            self._store.put_message(instance_id, event(Kind.EVENT_RAISED, {"Name": name, "Input": payload}))
        self._engine.wake(instance_id)

    def control(self, instance: Instance, operation: str, reason: str | None) -> None:
        """Terminate, suspend or resume; raises ConflictError in the wrong state."""
        suspended = instance.status == "Suspended"
        if (operation == "suspend" and suspended) or (operation == "resume" and not suspended):
            raise ConflictError(
                f"Cannot {operation} the orchestration instance {instance.id} because instance is in the "
                f"{instance.status} state."
            )
        kind, label = _CONTROL[operation]
        with self._store.transaction():
            self._store.put_message(instance.id, event(kind, {label: reason}), instance.execution_id)
        self._engine.wake(instance.id)

    def query(self, condition: Filter, limit: int, offset: int = 0) -> list[Instance]:
        where, values = condition.sql()
        return self._store.instances(where, values, limit, offset)

    def purge(self, condition: Filter) -> int:
        """Remove finished instances; the others stay, whatever the filter says."""
        where, values = condition.sql()
        finished = ", ".join(f"'{status}'" for status in sorted(TERMINAL))
        instances = self._store.instances(f"{where} and status in ({finished})", values, -1, 0)
        for instance in instances:
            self.purge_one(instance)
        return len(instances)

    def purge_one(self, instance: Instance) -> bool:
        if not instance.finished:
            return False
        with self._store.transaction():
            self._store.purge(instance.id)
        return True


def _check_id(instance_id: str) -> None:
    if instance_id.startswith("@"):
        raise ArgumentError("Orchestration instance ids must not start with @.")
    if any(character in "/\\?#" or not character.isprintable() for character in instance_id):
        raise ArgumentError("Orchestration instance ids must not contain /, \\, #, ?, or control characters.")
    if len(instance_id) > _MAX_ID:
        raise ArgumentError(f"Instance ID lengths must not exceed {_MAX_ID} characters.")
