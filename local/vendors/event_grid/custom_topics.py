"""Custom topics: CloudEvents that a sender with a token publishes; kept as they came, nobody subscribes here.

https://learn.microsoft.com/azure/event-grid/post-to-custom-topic, https://learn.microsoft.com/azure/event-grid/cloud-event-schema
"""

from typing import Any

from aiohttp import web

from local.vendors.kernel import Kernel

HOSTS = ("*.eventgrid.azure.net",)
AUDIENCE = "https://eventgrid.azure.net"
BATCH = "application/cloudevents-batch+json"
REQUIRED = ("id", "source", "type", "specversion")
LARGEST = 1024 * 1024


class CustomTopics:
    """Documents `published/<number>`: an event as often as it was published."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._store = kernel, kernel.store("event_grid")

    async def publish(self, request: web.Request) -> web.Response:
        """All events of a call, or none."""
        token = request.headers.get("Authorization", "").partition(" ")[2]
        try:
            if str(self._kernel.vendor("entra").verify(token)["aud"]).rstrip("/") != AUDIENCE:
                return _refused(401, "Unauthorized", "The token is for another audience.")
        except ValueError as error:
            return _refused(401, "Unauthorized", str(error))
        if request.content_type != BATCH:
            return _refused(415, "UnsupportedMediaType", f"The topic takes {BATCH}.")
        if len(await request.read()) > LARGEST:
            return _refused(413, "RequestEntityTooLarge", "A call has at most 1 MB.")
        events: list[dict[str, Any]] = await request.json()
        if lacking := next((name for event in events for name in REQUIRED if not event.get(name)), None):
            return _refused(400, "BadRequest", f"An event has no {lacking}.")
        with self._store.transaction():
            number = len(list(self._store.list("published/")))
            for place, event in enumerate(events, number):
                self._store.put(f"published/{place:08}", event)
        return web.Response()


def _refused(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
