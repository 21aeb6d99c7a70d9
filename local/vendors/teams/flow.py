"""The trigger, the run history and the channel.

https://learn.microsoft.com/azure/logic-apps/logic-apps-securing-a-logic-app#sas
"""

import hmac
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiohttp import web

from local.vendors.kernel import Kernel

from .card import Wrong, check, page

HOSTS = ("*.environment.api.powerplatform.com", "*.logic.azure.com")
QUERY = {"api-version": "1", "sp": "/triggers/manual/run", "sv": "1.0"}
SIGNATURE = "teams-webhook-signature"
LARGEST = 28 * 1024  # of a message in Teams; the trigger takes more, and its run fails afterwards
ADAPTIVE = "application/vnd.microsoft.card.adaptive"

type Document = dict[str, Any]


class Flow:
    """One flow: what it accepts is kept before it answers and worked on afterwards, also after a kill."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.store = kernel.store("teams")

    async def invoke(self, request: web.Request) -> web.Response:
        """Start a run. The signature in the URL is the only credential."""
        if refusal := _refusal(request):
            status, code, message = refusal
            return web.json_response({"error": {"code": code, "message": message}}, status=status)
        content = await request.read()
        identifier = uuid4().hex
        run: Document = {"id": identifier, "at": datetime.now(UTC).isoformat(), "status": "Running", "error": None}
        run |= {"body": content.decode("utf-8", "replace"), "bytes": len(content)}
        with self.store.transaction():
            number = (self.store.get("count") or 0) + 1
            self.store.put("count", number)
            self.store.put(f"run/{number:06}", run)
        self.kernel.spawn(self._work(f"{number:06}"), f"teams run {number}")
        return web.Response(status=202, headers={"x-ms-workflow-run-id": identifier})

    async def resume(self) -> None:
        """Go on with the runs that a kill interrupted."""
        for key, run in self.store.list("run/"):
            if run["status"] == "Running":
                self.kernel.spawn(self._work(key.removeprefix("run/")), f"teams {key}")

    async def _work(self, number: str) -> None:
        """Post the cards of a run into the channel, or fail where the caller is not told."""
        run: Document = self.store.get(f"run/{number}") or {}
        try:
            cards = _cards(run)
        except Wrong as error:
            self.store.put(f"run/{number}", run | {"status": "Failed", "error": str(error)})
            return
        with self.store.transaction():
            self.store.put(f"run/{number}", run | {"status": "Succeeded"})
            for place, card in enumerate(cards):
                self.store.put(f"message/{number}-{place}", {"at": run["at"], "card": card})

    async def runs(self, _: web.Request) -> web.Response:
        """The run history, as the flow's owner sees it."""
        shown = ("id", "at", "status", "error", "bytes")
        return web.json_response({"value": [{name: run[name] for name in shown} for _, run in self.store.list("run/")]})

    async def channel(self, request: web.Request) -> web.Response:
        """The messages of the channel."""
        messages = [message for _, message in self.store.list("message/")]
        if "text/html" in request.headers.get("Accept", ""):
            return web.Response(text=page(messages), content_type="text/html")
        return web.json_response({"messages": messages})


def _refusal(request: web.Request) -> tuple[int, str, str] | None:
    """What the trigger itself refuses: who calls, and with what kind of content."""
    query = request.query
    if "sig" not in query:
        return 401, "DirectApiAuthorizationRequired", "The request must be authenticated by a shared access signature."
    if "api-version" not in query:
        return 400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required."
    fits = all(query.get(name) == value for name, value in QUERY.items())
    if not fits or not hmac.compare_digest(query["sig"].encode(), SIGNATURE.encode()):
        return 401, "AuthorizationFailed", "The authentication credentials are not valid."
    if request.content_type != "application/json":
        return 415, "UnsupportedMediaType", f"The content type {request.content_type} is not supported."
    return None


def _cards(run: Document) -> list[Document]:
    """The cards of a body. Raises Wrong with what the run history says."""
    try:
        body = json.loads(run["body"])
    except ValueError as error:
        raise Wrong("InvalidTemplate: the trigger body is not JSON") from error
    attachments = body.get("attachments") if isinstance(body, dict) else None
    if not isinstance(attachments, list):
        kind = "Null" if attachments is None else type(attachments).__name__
        raise Wrong(f"The 'foreach' expression result is of type '{kind}': 'attachments' must be a valid array")
    if body.get("type") != "message":
        raise Wrong("InvalidBotAdapterMessage: the type must be message")
    if run["bytes"] > LARGEST:
        raise Wrong("RequestEntityTooLarge: the message is larger than 28 KB")
    for attachment in attachments:
        if not isinstance(attachment, dict) or attachment.get("contentType") != ADAPTIVE:
            raise Wrong(f"InvalidAttachment: the content type must be {ADAPTIVE}")
        check(attachment.get("content"))
    return [attachment["content"] for attachment in attachments]
