"""Delivery to webhooks: handshake, batches, retries with growing distance, dead letters.

https://learn.microsoft.com/azure/event-grid/delivery-and-retry
https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
"""

import asyncio
import time
from collections import deque
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from .topics import Subscription, Topics, event_of

PAUSE_SECONDS = 0.25
ANSWER_SECONDS = 30
BATCH = 10
DELIVERED = range(200, 205)
GIVEN_UP_AT_ONCE = frozenset({400, 401, 403, 413})
# Azure waits 10 s, 30 s, 1, 5, 10, 30 min, 1, 3, 6 h, then 12 h each time; here a tenth, and `settings/hurry` of that.
DISTANCES = (1.0, 3.0, 6.0, 30.0, 60.0, 180.0, 360.0, 1080.0, 2160.0, 4320.0)
ATTEMPTS = 30
REMEMBERED = 1000
VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"


class Delivery:
    """Pushes what waits, one subscription beside the other; what was pushed is remembered in memory."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._store = topics.store
        self._log: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._asked: dict[str, float] = {}

    async def run(self) -> None:
        """Deliver until the stand-ins end."""
        async with ClientSession(trust_env=False, timeout=ClientTimeout(total=ANSWER_SECONDS)) as session:
            while True:
                await asyncio.gather(*(self._serve(session, one) for one in self._topics.subscriptions()))
                await asyncio.sleep(PAUSE_SECONDS)

    async def account(self, _: web.Request) -> web.Response:
        """Subscriptions without their keys, the last attempts, what waits, what was given up, what was published."""
        found = self._topics.subscriptions()
        document = {
            "subscriptions": {one.name: one.endpoint.partition("&code=")[0] for one in found},
            "attempts": list(self._log),
            "waiting": [item for one in found for _, item in self._topics.waiting(one.name)],
            "deadLetters": [event for _, event in self._store.list("dead/")],
            "published": [event for _, event in self._store.list("published/")],
        }
        return web.json_response(document)

    async def _serve(self, session: ClientSession, subscription: Subscription) -> None:
        now = time.time()
        due = [(key, item) for key, item in self._topics.waiting(subscription.name) if item["due"] <= now][:BATCH]
        if not await self._validated(session, subscription) or not due:
            return
        events = [item["event"] for _, item in due]
        status, _ = await _post(session, subscription, "Notification", events, due[0][1]["attempts"])
        self._log.append({"subscription": subscription.name, "status": status, "events": events})
        for key, item in due:
            self._settle(subscription, key, item, status)

    async def _validated(self, session: ClientSession, subscription: Subscription) -> bool:
        """The handshake, once for each address; an address that does not answer yet is asked again."""
        key = f"validated/{subscription.name}"
        if self._store.get(key) == subscription.endpoint:
            return True
        if time.monotonic() < self._asked.get(subscription.name, 0.0):
            return False
        self._asked[subscription.name] = time.monotonic() + DISTANCES[0]
        event = event_of(subscription.topic, "", VALIDATION, {"validationCode": str(uuid4())})
        status, answer = await _post(session, subscription, "SubscriptionValidation", [event])
        valid = status == HTTPStatus.OK and answer == {"validationResponse": event["data"]["validationCode"]}
        if valid:
            self._store.put(key, subscription.endpoint)
        return valid

    def _settle(self, subscription: Subscription, key: str, item: dict[str, Any], status: int | None) -> None:
        """Delivered, or tried again later, or a dead letter."""
        attempts = item["attempts"] + 1
        hurry = float(self._store.get("settings/hurry") or 1.0)
        with self._store.transaction():
            if status in DELIVERED:
                self._store.delete(key)
            elif status in GIVEN_UP_AT_ONCE or attempts >= int(self._store.get("settings/attempts") or ATTEMPTS):
                self._store.delete(key)
                self._store.put(key.replace("waiting/", "dead/", 1), _dead(subscription, item, attempts, status))
            else:
                distance = DISTANCES[min(attempts, len(DISTANCES)) - 1] * hurry
                self._store.put(key, item | {"attempts": attempts, "due": time.time() + distance})


def _dead(subscription: Subscription, item: dict[str, Any], attempts: int, status: int | None) -> dict[str, Any]:
    """An event as it is written into a dead letter."""
    outcome = HTTPStatus(status).phrase.replace(" ", "") if status else "TimedOut"
    reason = "UndeliverableDueToClientError" if status in GIVEN_UP_AT_ONCE else "MaxDeliveryAttemptsExceeded"
    return {
        **item["event"],
        "subscription": subscription.name,
        "deadLetterReason": reason,
        "deliveryAttempts": attempts,
        "lastDeliveryOutcome": outcome,
        "publishTime": item["published"],
        "lastDeliveryAttemptTime": datetime.now(UTC).isoformat(),
    }


async def _post(
    session: ClientSession, subscription: Subscription, kind: str, events: list[dict[str, Any]], attempt: int = 0
) -> tuple[int | None, Any]:
    """Status and answer of the webhook; no status when it did not answer."""
    headers = {
        "aeg-event-type": kind,
        "aeg-subscription-name": subscription.name.upper(),
        "aeg-delivery-count": str(attempt),
    }
    try:
        async with session.post(subscription.endpoint, json=events, headers=headers) as answer:
            text = await answer.text()
            return answer.status, await answer.json() if text.startswith("{") else text
    except (ClientError, TimeoutError, ValueError):
        return None, None
