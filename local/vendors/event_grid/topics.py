"""Subscriptions, and the events that wait for their delivery.

https://learn.microsoft.com/azure/event-grid/event-schema, /event-grid/event-filtering
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from local.vendors.kernel import Store

type Event = dict[str, Any]


@dataclass(frozen=True)
class Subscription:
    """Who wants which events: the document `subscription/<name>`.

    `topic` is the id of a resource or of anything above it, `subject` a prefix; empty is everything.
    """

    name: str
    endpoint: str
    kinds: list[str]
    topic: str = ""
    subject: str = ""

    def wants(self, event: Event) -> bool:
        return (
            event["eventType"] in self.kinds
            and event["topic"].lower().startswith(self.topic.lower())
            and event["subject"].lower().startswith(self.subject.lower())
        )


def event_of(topic: str, subject: str, kind: str, data: dict[str, Any]) -> Event:
    """An event in the Event Grid schema, of this moment."""
    return {
        "id": str(uuid4()),
        "topic": topic,
        "subject": subject,
        "eventType": kind,
        "eventTime": datetime.now(UTC).isoformat(timespec="microseconds"),
        "dataVersion": "1",
        "metadataVersion": "1",
        "data": data,
    }


class Topics:
    """What is published goes to the subscriptions that exist at this moment, and waits there until it is delivered."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def subscriptions(self) -> list[Subscription]:
        rows = self.store.list("subscription/")
        return [Subscription(name=key.removeprefix("subscription/"), **row) for key, row in rows]

    def publish(self, event: Event, due: float = 0.0) -> None:
        """Keep an event for everyone who wants it, as often as `settings/copies` says: it comes at least once."""
        copies = int(self.store.get("settings/copies") or 1)
        waiting = {"event": event, "attempts": 0, "due": due, "published": event["eventTime"]}
        wanting = [subscription for subscription in self.subscriptions() if subscription.wants(event)]
        with self.store.transaction():
            for subscription in wanting * copies:
                self.store.put(f"waiting/{subscription.name}/{time.time_ns():020}{uuid4().hex}", waiting)

    def waiting(self, subscription: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What has not been delivered yet, the oldest first."""
        return self.store.list(f"waiting/{subscription}/")
