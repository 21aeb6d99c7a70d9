"""What Service Bus promises of a queue: peek-lock, sessions, duplicate detection, dead letters. SQLite holds it all.

Times are milliseconds since 1970. Nothing is kept until `commit`; the server calls it before it answers anybody.
"""

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local.service_bus import messages
from local.service_bus.messages import Message, Sections
from local.service_bus.topology import QueueOptions

DEAD = "/$deadletterqueue"
_SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS message (
    queue TEXT, sequence INTEGER, raw BLOB, message_id TEXT, session TEXT, enqueued INTEGER, expires INTEGER,
    deliveries INTEGER DEFAULT 0, token UUID, locked_until INTEGER, reason TEXT, description TEXT,
    PRIMARY KEY (queue, sequence));
CREATE UNIQUE INDEX IF NOT EXISTS by_token ON message (token) WHERE token IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_lock ON message (locked_until) WHERE locked_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_expiry ON message (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS seen (queue TEXT, message_id TEXT, until INTEGER, PRIMARY KEY (queue, message_id));
CREATE TABLE IF NOT EXISTS counter (queue TEXT PRIMARY KEY, sequence INTEGER);
"""
sqlite3.register_adapter(uuid.UUID, lambda token: token.bytes)
sqlite3.register_converter("UUID", lambda raw: uuid.UUID(bytes=raw))
_COLUMNS = "sequence, raw, message_id, enqueued, deliveries, token, locked_until, reason, description"


class BrokerError(Exception):
    """A request that Service Bus refuses, with its AMQP condition and the status of the management node."""

    def __init__(self, condition: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.condition, self.description, self.status = condition, description, status


def _lock_lost() -> BrokerError:
    text = "The lock supplied is invalid. Either the lock expired, or the message has already been removed."
    return BrokerError("com.microsoft:message-lock-lost", text, 410)


def _session_lost() -> BrokerError:
    text = "The session lock has expired. Accept a new session."
    return BrokerError("com.microsoft:session-lock-lost", text, 410)


@dataclass(eq=False)
class SessionLock:
    """One receiver's exclusive hold of a session."""

    queue: str
    session: str
    until: int
    on_lost: Callable[[BrokerError], None]


class Broker:
    """The queues of one namespace."""

    def __init__(
        self, queues: Iterable[QueueOptions], path: Path | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._queues = {queue.name.lower(): queue for queue in queues}
        self._dead = {name + DEAD: self._dead_letters(queue) for name, queue in self._queues.items()}
        self._held: dict[tuple[str, str], SessionLock] = {}
        self.changed: set[str] = set()
        self._db = sqlite3.connect(path or ":memory:", detect_types=sqlite3.PARSE_DECLTYPES)
        self._db.executescript(_SCHEMA)
        # The receivers of sessions went with the process that died. Its other locks run on, as the service's do.
        self._db.execute("UPDATE message SET token = NULL WHERE locked_until IS NULL")
        self.commit()

    @staticmethod
    def _dead_letters(queue: QueueOptions) -> QueueOptions:
        unlimited = replace(queue, deliveries=None, sessions=False, window=0, time_to_live=None)
        return replace(unlimited, name=queue.name + "/$DeadLetterQueue")

    def now(self) -> int:
        return int(self._clock() * 1000)

    def commit(self) -> None:
        self._db.commit()

    def close(self) -> None:
        self._db.commit()
        self._db.close()

    def options(self, queue: str) -> QueueOptions:
        """The queue or dead-letter queue of that name; raises BrokerError."""
        found = self._queues.get(queue) or self._dead.get(queue)
        if found is None:
            text = f"The messaging entity '{queue}' could not be found."
            raise BrokerError("amqp:not-found", text, 404)
        return found

    # -- sending

    def send(self, queue: str, bodies: list[bytes]) -> None:
        """Take in a message, or all of a batch."""
        options = self.options(queue)
        if queue in self._dead:
            raise BrokerError("amqp:not-allowed", "Nothing can be sent to a dead-letter queue.")
        batch = [(body, messages.parse(body)) for body in bodies]
        for _, sections in batch:
            _require_sendable(options, sections)
        for body, sections in batch:
            self._enqueue(queue, options, body, sections)
        self.changed.add(queue)

    def _enqueue(self, queue: str, options: QueueOptions, body: bytes, sections: Sections) -> None:
        now, message_id = self.now(), sections.message_id or uuid.uuid4().hex
        if options.window and self._seen(queue, message_id, now, now + options.window):
            return
        lasting = [span for span in (sections.time_to_live, options.time_to_live) if span is not None]
        expires = now + min(lasting) if lasting else None
        counted = self._db.execute(
            "INSERT INTO counter VALUES (?, 1) ON CONFLICT DO UPDATE SET sequence = sequence + 1 RETURNING sequence",
            (queue,),
        )
        (sequence,) = counted.fetchone()
        self._db.execute(
            "INSERT INTO message (queue, sequence, raw, message_id, session, enqueued, expires) VALUES (?,?,?,?,?,?,?)",
            (queue, sequence, body, message_id, sections.session, now, expires),
        )

    def _seen(self, queue: str, message_id: str, now: int, until: int) -> bool:
        self._db.execute("DELETE FROM seen WHERE until <= ?", (now,))
        added = self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (queue, message_id, until))
        return added.rowcount == 0

    # -- receiving

    def acquire(self, queue: str, session: SessionLock | None) -> Message | None:
        """Lock the oldest message that is free."""
        options, now = self.options(queue), self.now()
        self._expire_messages(now)
        where = "queue = ? AND token IS NULL" + (" AND session = ?" if session else "")
        values = (queue, session.session) if session else (queue,)
        found = self._select(f"{where} ORDER BY sequence LIMIT 1", values)
        if not found:
            return None
        until = None if session else now + options.lock
        token = uuid.uuid4()
        self._db.execute(
            "UPDATE message SET token = ?, locked_until = ? WHERE queue = ? AND sequence = ?",
            (token, until, queue, found[0].sequence),
        )
        return replace(found[0], token=token, locked_until=session.until if session else until)

    def peek(self, queue: str, first: int, count: int, session: str | None) -> list[Message]:
        """Read messages without locking them."""
        self.options(queue)
        where = "queue = ? AND sequence >= ? AND ifnull(?, session) IS session ORDER BY sequence LIMIT ?"
        return self._select(where, (queue, first, session, count))

    def _select(self, where: str, values: tuple[Any, ...]) -> list[Message]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM message WHERE {where}", values)  # noqa: S608 - our own words
        return [Message(*row) for row in rows]

    def _locked(self, queue: str, token: uuid.UUID) -> Message:
        found = self._select("queue = ? AND token = ?", (queue, token))
        if not found or (found[0].locked_until is not None and found[0].locked_until <= self.now()):
            raise _session_lost() if self.options(queue).sessions else _lock_lost()
        return found[0]

    def complete(self, queue: str, token: uuid.UUID) -> None:
        """Remove a message: its receiver is done with it."""
        self._remove(queue, self._locked(queue, token).sequence)

    def abandon(self, queue: str, token: uuid.UUID, *, failed: bool = True) -> None:
        """Give a message free again; a failure counts."""
        self._free(queue, self._locked(queue, token), failed=failed)

    def dead_letter(self, queue: str, token: uuid.UUID, reason: str | None, description: str | None) -> None:
        """Move a message to the dead letters."""
        self._move(queue, self._locked(queue, token), reason, description)

    def renew(self, queue: str, token: uuid.UUID) -> int:
        """Lengthen a lock; returns until when it holds."""
        message, until = self._locked(queue, token), self.now() + self.options(queue).lock
        where = "UPDATE message SET locked_until = ? WHERE queue = ? AND sequence = ?"
        self._db.execute(where, (until, queue, message.sequence))
        return until

    def _remove(self, queue: str, sequence: int) -> None:
        self._db.execute("DELETE FROM message WHERE queue = ? AND sequence = ?", (queue, sequence))

    def _free(self, queue: str, message: Message, *, failed: bool) -> None:
        limit = self.options(queue).deliveries
        if failed and limit is not None and message.deliveries + 1 >= limit:
            text = f"Message could not be consumed after {limit} delivery attempts."
            self._move(queue, replace(message, deliveries=message.deliveries + 1), "MaxDeliveryCountExceeded", text)
            return
        self._db.execute(
            "UPDATE message SET token = NULL, locked_until = NULL, deliveries = deliveries + ?"
            " WHERE queue = ? AND sequence = ?",
            (int(failed), queue, message.sequence),
        )
        self.changed.add(queue)

    def _move(self, queue: str, message: Message, reason: str | None, description: str | None) -> None:
        if queue in self._dead:  # there is nowhere to go from here: it stays
            self._free(queue, message, failed=True)
            return
        self._db.execute(
            "UPDATE message SET queue = ?, token = NULL, locked_until = NULL, expires = NULL, deliveries = ?,"
            " reason = ?, description = ? WHERE queue = ? AND sequence = ?",
            (queue + DEAD, message.deliveries, reason, description, queue, message.sequence),
        )
        self.changed |= {queue, queue + DEAD}

    # -- sessions

    def accept(self, queue: str, wanted: str | None, on_lost: Callable[[BrokerError], None]) -> SessionLock | None:
        """Lock the session that is wanted, or the free one with the oldest message; None when there is none."""
        options = self.options(queue)
        if not options.sessions:
            raise BrokerError("amqp:not-allowed", f"The entity '{options.name}' does not support sessions.")
        if wanted is not None and (queue, wanted) in self._held:
            text = f"The requested session '{wanted}' cannot be accepted. It may be locked by another receiver."
            raise BrokerError("com.microsoft:session-cannot-be-locked", text, 410)
        session = self._next_session(queue) if wanted is None else wanted
        if session is None:
            return None
        lock = self._held[queue, session] = SessionLock(queue, session, self.now() + options.lock, on_lost)
        return lock

    def _next_session(self, queue: str) -> str | None:
        self._expire_messages(self.now())
        where = "SELECT session FROM message WHERE queue = ? AND token IS NULL GROUP BY session ORDER BY min(sequence)"
        free = (session for (session,) in self._db.execute(where, (queue,)) if (queue, session) not in self._held)
        return next(free, None)

    def renew_session(self, queue: str, session: str) -> int:
        """Lengthen the lock of a session; returns until when it holds."""
        lock = self._held.get((queue, session))
        if lock is None:
            raise _session_lost()
        lock.until = self.now() + self.options(queue).lock
        return lock.until

    def release(self, lock: SessionLock, *, failed: bool = False) -> None:
        """Give a session free; what its receiver holds counts as failed only when the lock ran out."""
        if self._held.get((lock.queue, lock.session)) is not lock:
            return
        del self._held[lock.queue, lock.session]
        for message in self._select("queue = ? AND session = ? AND token IS NOT NULL", (lock.queue, lock.session)):
            self._free(lock.queue, message, failed=failed)
        self.changed.add(lock.queue)

    # -- time

    def tick(self) -> None:
        """End what ran out."""
        now = self.now()
        for lock in [lock for lock in self._held.values() if lock.until <= now]:
            self.release(lock, failed=True)
            lock.on_lost(_session_lost())
        for queue in [*self._queues, *self._dead]:
            for message in self._select("queue = ? AND locked_until <= ?", (queue, now)):
                self._free(queue, message, failed=True)
        self._expire_messages(now)

    def _expire_messages(self, now: int) -> None:
        for queue, options in self._queues.items():
            for message in self._select("queue = ? AND expires <= ? AND token IS NULL", (queue, now)):
                if options.keep_expired:
                    self._move(queue, message, "TTLExpiredException", "The message expired and was dead lettered.")
                else:
                    self._remove(queue, message.sequence)


def _require_sendable(options: QueueOptions, sections: Sections) -> None:
    if options.sessions and sections.session is None:
        text = "The SessionId was not set on a message, and it cannot be sent to the entity"
        raise BrokerError("amqp:not-allowed", f"{text} '{options.name}' that requires sessions.")
    if "x-opt-scheduled-enqueue-time" in sections.annotations:
        raise BrokerError("amqp:not-implemented", "This broker has no scheduled messages.", 501)
