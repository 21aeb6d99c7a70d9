"""Persistent JSON documents of the stand-ins: one SQLite file, durable as soon as a write returns."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LAST = chr(0x10FFFF)  # sorts after everything that a key holds
SCHEMA = "CREATE TABLE IF NOT EXISTS documents (vendor TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (vendor, key))"


class Database:
    """The file behind every store. One connection, guarded by a lock, so that threads may share it.

    WAL with synchronous=NORMAL: a kill of the process loses nothing that was committed.
    """

    def __init__(self, file: Path) -> None:
        self.lock = threading.RLock()
        self.depth = 0
        self.connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=10)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.execute(SCHEMA)

    def execute(self, statement: str, *values: str) -> sqlite3.Cursor:
        with self.lock:
            return self.connection.execute(statement, values)

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several writes, all or nothing; a nested transaction joins the outer one. Never await inside."""
        with self.lock:
            self.depth += 1
            if self.depth == 1:
                self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.depth -= 1
                if self.depth == 0:
                    self.connection.execute("ROLLBACK")
                raise
            self.depth -= 1
            if self.depth == 0:
                self.connection.execute("COMMIT")


class Store:
    """The documents of one stand-in. Keys are "/"-separated strings, values are JSON."""

    def __init__(self, database: Database, vendor: str) -> None:
        self._database = database
        self._vendor = vendor

    def get(self, key: str) -> Any | None:
        row = self._database.execute(
            "SELECT value FROM documents WHERE vendor = ? AND key = ?", self._vendor, key
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, key: str, value: Any) -> None:
        self._database.execute(
            "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            self._vendor,
            key,
            json.dumps(value),
        )

    def insert(self, key: str, value: Any) -> bool:
        """Add a document; False when the key is taken."""
        cursor = self._database.execute(
            "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT DO NOTHING", self._vendor, key, json.dumps(value)
        )
        return cursor.rowcount == 1

    def delete(self, key: str) -> bool:
        """Remove a document; False when there is none."""
        cursor = self._database.execute("DELETE FROM documents WHERE vendor = ? AND key = ?", self._vendor, key)
        return cursor.rowcount == 1

    def list(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """The documents whose key starts with `prefix`, in the order of their keys, as they are at the call."""
        rows = self._database.execute(
            "SELECT key, value FROM documents WHERE vendor = ? AND key >= ? AND key < ? ORDER BY key",
            self._vendor,
            prefix,
            prefix + LAST,
        ).fetchall()
        return ((key, json.loads(value)) for key, value in rows)

    def clear(self) -> None:
        """Remove every document."""
        self._database.execute("DELETE FROM documents WHERE vendor = ?", self._vendor)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several writes, all or nothing. Never await inside: the file is shared by all stand-ins."""
        with self._database.transaction():
            yield
