"""The durable state: one SQLite file in WAL mode that survives kill -9 at any instant."""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from local.host.durable.events import Event, dump, execution_started

TERMINAL = frozenset({"Completed", "Failed", "Terminated", "Canceled"})
_SCHEMA = """
create table if not exists instances(
  id text primary key, execution_id text not null, name text not null, version text not null, status text not null,
  created real not null, updated real not null, input text, output text, custom_status text,
  parent text, trace text not null) without rowid;
create index if not exists instances_by_status on instances(status, created);
create table if not exists history(
  id text not null, seq integer not null, event text not null, primary key(id, seq)) without rowid;
create table if not exists messages(
  n integer primary key autoincrement, id text not null, execution_id text, visible_at real not null,
  event text not null);
create index if not exists messages_by_instance on messages(id, visible_at);
create table if not exists activities(
  n integer primary key autoincrement, id text not null, execution_id text not null, task integer not null,
  name text not null, input text not null, trace text not null);
create index if not exists activities_by_instance on activities(id);
create table if not exists timers(
  name text primary key, last real, next real not null, updated real not null) without rowid;
"""


@dataclass(frozen=True)
class Instance:
    """One orchestration instance; payloads are JSON text."""

    id: str
    execution_id: str
    name: str
    version: str
    status: str
    created: float
    updated: float
    input: str | None
    output: str | None
    custom_status: str | None
    parent: str | None
    trace: str

    @property
    def finished(self) -> bool:
        return self.status in TERMINAL

    @property
    def lineage(self) -> Event | None:
        """The ParentInstance of its first event."""
        return json.loads(self.parent) if self.parent else None


@dataclass(frozen=True)
class Message:
    """An event on its way to an instance; one of another execution is fenced off."""

    number: int
    execution_id: str | None
    event: Event


@dataclass(frozen=True)
class Activity:
    """A scheduled activity: it stays here until its result is committed, so it runs at least once."""

    number: int
    instance_id: str
    execution_id: str
    task: int
    name: str
    input: str
    trace: str


_INSTANCE = ", ".join(field.name for field in fields(Instance))


class Store:
    """Plain reads anywhere; writes inside `transaction()`."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.execute = self._db.execute
        self.execute("pragma journal_mode=wal")
        self.execute("pragma synchronous=normal")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes of the block or none."""
        self.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.execute("rollback")
            raise
        self.execute("commit")

    # instances -------------------------------------------------------------------------------------------------------
    def instance(self, instance_id: str) -> Instance | None:
        row = self.execute(f"select {_INSTANCE} from instances where id = ?", (instance_id,)).fetchone()  # noqa: S608
        return Instance(*row) if row else None

    def instances(self, where: str, values: Sequence[Any], limit: int, offset: int) -> list[Instance]:
        query = f"select {_INSTANCE} from instances where {where} order by created, id limit ? offset ?"  # noqa: S608
        return [Instance(*row) for row in self.execute(query, (*values, limit, offset))]

    def open_instances(self) -> int:
        names = ", ".join(f"'{status}'" for status in TERMINAL)
        (count,) = self.execute(f"select count(*) from instances where status not in ({names})").fetchone()  # noqa: S608
        return int(count)

    def create(
        self,
        name: str,
        instance_id: str,
        payload: str | None,
        *,
        version: str,
        trace: str = "",
        parent: Event | None = None,
    ) -> None:
        """Insert a new execution (over a finished one with the same id) and its first message."""
        self.purge(instance_id)
        execution_id, created = uuid.uuid4().hex, time.time()
        self.execute(
            "insert into instances values(?,?,?,?,'Pending',?,?,?,null,null,?,?)",
            (instance_id, execution_id, name, version, created, created, payload, parent and dump(parent), trace),
        )
        first = execution_started(name, version, payload, (instance_id, execution_id), parent)
        self.put_message(instance_id, first, execution_id)

    def update(self, instance_id: str, **columns: Any) -> None:
        assignments = ", ".join(f"{column} = ?" for column in columns)
        query = f"update instances set {assignments}, updated = ? where id = ?"  # noqa: S608 - column names are ours
        self.execute(query, (*columns.values(), time.time(), instance_id))

    def purge(self, instance_id: str) -> None:
        for table in ("history", "messages", "activities", "instances"):
            self.execute(f"delete from {table} where id = ?", (instance_id,))  # noqa: S608 - table names are ours

    # messages --------------------------------------------------------------------------------------------------------
    def put_message(self, instance_id: str, event: Event, execution_id: str | None = None, at: float = 0.0) -> None:
        self.execute(
            "insert into messages(id, execution_id, visible_at, event) values(?,?,?,?)",
            (instance_id, execution_id, at, dump(event)),
        )

    def due_messages(self, instance_id: str) -> list[Message]:
        rows = self.execute(
            "select n, execution_id, event from messages where id = ? and visible_at <= ? order by n",
            (instance_id, time.time()),
        )
        return [Message(number, execution_id, json.loads(event)) for number, execution_id, event in rows]

    def delete_messages(self, messages: Sequence[Message]) -> None:
        self._db.executemany("delete from messages where n = ?", [(message.number,) for message in messages])

    def delete_inbox(self, instance_id: str, *, fenced_only: bool = False) -> None:
        fence = " and execution_id is not null" if fenced_only else ""
        self.execute(f"delete from messages where id = ?{fence}", (instance_id,))  # noqa: S608

    def wake_ups(self) -> list[tuple[str, float]]:
        return list(self.execute("select distinct id, visible_at from messages"))

    # history ---------------------------------------------------------------------------------------------------------
    def history(self, instance_id: str) -> list[str]:
        return [row[0] for row in self.execute("select event from history where id = ? order by seq", (instance_id,))]

    def append_history(self, instance_id: str, start: int, events: Sequence[str]) -> None:
        rows = [(instance_id, start + index, event) for index, event in enumerate(events)]
        self._db.executemany("insert into history values(?,?,?)", rows)

    def delete_history(self, instance_id: str) -> None:
        self.execute("delete from history where id = ?", (instance_id,))

    # activities ------------------------------------------------------------------------------------------------------
    def add_activity(self, instance: Instance, task: int, name: str, payload: str) -> Activity:
        row = (instance.id, instance.execution_id, task, name, payload, instance.trace)
        cursor = self.execute(
            "insert into activities(id, execution_id, task, name, input, trace) values(?,?,?,?,?,?)", row
        )
        return Activity(cursor.lastrowid or 0, *row)

    def activities(self) -> list[Activity]:
        columns = "n, id, execution_id, task, name, input, trace"
        return [Activity(*row) for row in self.execute(f"select {columns} from activities order by n")]  # noqa: S608

    def delete_activity(self, number: int) -> bool:
        return self.execute("delete from activities where n = ?", (number,)).rowcount == 1

    # timers of the app -----------------------------------------------------------------------------------------------
    def timer(self, name: str) -> tuple[float | None, float, float] | None:
        """Return (last run, next run, written at)."""
        row = self.execute("select last, next, updated from timers where name = ?", (name,)).fetchone()
        return tuple(row) if row else None

    def save_timer(self, name: str, last: float | None, following: float) -> None:
        self.execute("insert or replace into timers values(?,?,?,?)", (name, last, following, time.time()))
