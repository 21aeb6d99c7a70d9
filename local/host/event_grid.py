"""Event Grid triggers: the webhook that events are pushed to, one invocation for each event.

What the real extension does (Azure/azure-sdk-for-net, Microsoft.Azure.WebJobs.Extensions.EventGrid).
"""

import asyncio
import json
from typing import Any

from aiohttp import web

from local.host.extensions import Extension
from local.host.frames import Value
from local.host.functions import Function


class EventGrid(Extension):
    """The eventGridTrigger: POST /runtime/webhooks/EventGrid?functionName=F&code=KEY."""

    name = "eventgrid"
    bindings = frozenset({"eventGridTrigger"})

    def test_value(self, text: str) -> Value:
        return "json", text

    async def webhook(self, request: web.Request, path: str) -> web.StreamResponse:
        del path
        name, kind = request.query.get("functionName", ""), request.headers.get("aeg-event-type")
        function = next((f for f in self.services.of_kind("eventGridTrigger") if f.name.lower() == name.lower()), None)
        if function is None:
            return web.Response(status=404, text=f"cannot find function: '{name}'")
        if request.method == "OPTIONS":
            origin = request.headers.get("WebHook-Request-Origin", "")
            return web.Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})
        if kind == "SubscriptionValidation":
            return web.json_response({"validationResponse": _validation_code(await request.json())})
        if kind == "Notification":
            return web.Response(status=await self._notify(function, await request.json()))
        return web.Response(status=202 if kind == "Unsubscribe" else 400)

    async def _notify(self, function: Function, body: Any) -> int:
        """All events at the same time; one that fails makes the whole batch come again."""
        events = body if isinstance(body, list) else [body]
        runs = [self.services.run(function, "EventGrid trigger fired.", ("json", json.dumps(e))) for e in events]
        ended = await asyncio.gather(*runs, return_exceptions=True)
        return 500 if any(isinstance(end, BaseException) for end in ended) else 202


def _validation_code(body: Any) -> str:
    """The code of the handshake: an array of one event, or a CloudEvent whose data may be JSON in a text."""
    data = (body[0] if isinstance(body, list) else body)["data"]
    return str((json.loads(data) if isinstance(data, str) else data)["validationCode"])
