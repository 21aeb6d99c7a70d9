"""Who may call, then messages.

https://docs.slack.dev/reference/methods/chat.postMessage
https://docs.slack.dev/reference/methods/conversations.history
https://docs.slack.dev/messaging/message-metadata
"""

import base64
import hmac
import json
import time
from typing import Any

from aiohttp import web

from local.vendors.kernel import MUTATING, Store
from local.vendors.kernel.faults import Handler

from .blocks import Refused, check

TOKEN = "xoxb-appstore"  # noqa: S105 -- the stand-in's own
TEAM, BOT, USER, WORKSPACE = "T0CONTOSO", "B0APPSTORE", "U0APPSTORE", "https://contoso.slack.com"
# Channels by id: name, whether the bot is a member, whether it is archived.
CHANNELS = {
    "C0APPSTORE": ("app-store", True, False),
    "C0STRANGERS": ("strangers", False, False),
    "C0ARCHIVED": ("old-news", True, True),
}
LONGEST_TEXT = 40_000
EVERY_SECOND = "settings/rate-limit"  # true in the store: one message per second and channel, as at Slack

type Document = dict[str, Any]


class Api:
    """Handlers; a message's time stamp is its id within its channel."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def guarded(self, handler: Handler) -> Handler:
        """A handler that demands the bot's token, and refuses as Slack does: 200 and `ok: false`."""

        async def run(request: web.Request) -> web.StreamResponse:
            try:
                _require_token(request)
                return await handler(request)
            except Refused as error:
                code, *more = error.args
                return web.json_response({"ok": False, "error": code} | dict(more))

        return run

    async def test(self, request: web.Request) -> web.Response:
        request[MUTATING] = False
        named = {"url": f"{WORKSPACE}/", "team": "Contoso", "user": "appstore", "team_id": TEAM}
        return web.json_response({"ok": True, **named, "user_id": USER, "bot_id": BOT, "is_enterprise_install": False})

    async def post_message(self, request: web.Request) -> web.Response:
        """Post. `client_msg_id` is kept and, as Slack promises nothing about it, does not keep a second one away."""
        sent, warnings = await _arguments(request)
        channel = self._channel(sent, writing=True)
        text, blocks = str(sent.get("text") or ""), sent.get("blocks") or []
        if not text and not blocks:
            raise Refused("no_text")
        if len(text) > LONGEST_TEXT:
            raise Refused("msg_too_long")
        check(blocks)
        if limited := self._limited(channel):
            return limited
        message = {"type": "message", "user": USER, "bot_id": BOT, "team": TEAM, "text": text, "blocks": blocks}
        message |= {"client_msg_id": sent["client_msg_id"]} if sent.get("client_msg_id") else {}
        message |= {"metadata": _metadata(sent["metadata"])} if sent.get("metadata") else {}
        message["ts"] = self._keep(channel, message)
        answer: Document = {"ok": True, "channel": channel, "ts": message["ts"], "message": message}
        if warnings:
            answer |= {"warning": warnings, "response_metadata": {"warnings": [warnings]}}
        return web.json_response(answer)

    async def history(self, request: web.Request) -> web.Response:
        """The newest messages first, a page at a time; metadata only with `include_all_metadata`."""
        request[MUTATING] = False
        asked, _ = await _arguments(request)
        channel = self._channel(asked)
        oldest, newest = float(asked.get("oldest") or 0), float(asked.get("latest") or 1e12)
        kept = [m for m in self._messages(channel) if oldest < float(m["ts"]) < newest][::-1]
        limit, start = min(int(asked.get("limit") or 100), 999), _position(asked.get("cursor"))
        page, more = kept[start : start + limit], len(kept) > start + limit
        if str(asked.get("include_all_metadata")).lower() not in ("true", "1"):
            page = [{name: value for name, value in message.items() if name != "metadata"} for message in page]
        answer = {"ok": True, "messages": page, "has_more": more, "pin_count": 0}
        cursor = base64.b64encode(f"next:{start + limit}".encode()).decode() if more else ""
        return web.json_response(answer | ({"response_metadata": {"next_cursor": cursor}} if more else {}))

    async def get_permalink(self, request: web.Request) -> web.Response:
        request[MUTATING] = False
        asked, _ = await _arguments(request)
        channel, stamp = self._channel(asked), str(asked.get("message_ts") or "")
        if stamp not in {message["ts"] for message in self._messages(channel)}:
            raise Refused("message_not_found")
        link = f"{WORKSPACE}/archives/{channel}/p{stamp.replace('.', '')}"
        return web.json_response({"ok": True, "channel": channel, "permalink": link})

    async def channels(self, _: web.Request) -> web.Response:
        """What is in the channels, for people."""
        return web.json_response({name: self._messages(channel) for channel, (name, *_rest) in CHANNELS.items()})

    def _channel(self, sent: Document, *, writing: bool = False) -> str:
        """The id of the channel that is meant; only a post may name it otherwise. Raises Refused."""
        wanted = str(sent.get("channel") or "")
        names = {f"#{name}": channel for channel, (name, *_rest) in CHANNELS.items()} if writing else {}
        channel = names.get(wanted, wanted)
        if channel not in CHANNELS:
            raise Refused("channel_not_found")
        _, member, archived = CHANNELS[channel]
        if not member:
            raise Refused("not_in_channel")
        if writing and archived:
            raise Refused("is_archived")
        return channel

    def _messages(self, channel: str) -> list[Document]:
        return [message for _, message in self.store.list(f"message/{channel}/")]

    def _keep(self, channel: str, message: Document) -> str:
        """Keep a message under a time stamp of its own, which grows."""
        with self.store.transaction():
            last = self.store.get("last") or 0
            now = max(int(time.time() * 1_000_000), last + 1)
            self.store.put("last", now)
            stamp = f"{now // 1_000_000}.{now % 1_000_000:06}"
            self.store.put(f"message/{channel}/{stamp}", message | {"ts": stamp})
        return stamp

    def _limited(self, channel: str) -> web.Response | None:
        """429 for the second message of a second, where the store asks for that."""
        newest = next((float(message["ts"]) for message in self._messages(channel)[::-1]), 0.0)
        if not self.store.get(EVERY_SECOND) or time.time() - newest >= 1:
            return None
        return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "1"})


def _require_token(request: web.Request) -> None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not token or scheme.lower() != "bearer":
        raise Refused("not_authed")
    if not hmac.compare_digest(token.encode(), TOKEN.encode()):
        raise Refused("invalid_auth")


async def _arguments(request: web.Request) -> tuple[Document, str]:
    """Arguments of query, form or JSON; a warning when JSON comes without its charset. Raises Refused."""
    if request.method == "GET":
        return dict(request.query), ""
    if request.content_type != "application/json":
        form = dict(await request.post())
        return {name: _parsed(name, value) for name, value in form.items()}, ""
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise Refused("invalid_json") from None
    if not isinstance(body, dict):
        raise Refused("json_not_object")
    return body, "" if request.charset else "missing_charset"


def _parsed(name: str, value: Any) -> Any:
    if name not in ("blocks", "metadata"):
        return value
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        raise Refused(f"invalid_{name}_format") from None


def _metadata(value: Any) -> Document:
    """Metadata as it is kept. Raises Refused."""
    if not isinstance(value, dict) or not isinstance(value.get("event_payload"), dict) or not value.get("event_type"):
        raise Refused("invalid_metadata_format")
    return {"event_type": value["event_type"], "event_payload": value["event_payload"]}


def _position(cursor: Any) -> int:
    """Where a page begins. Raises Refused."""
    try:
        return int(base64.b64decode(str(cursor)).decode().removeprefix("next:")) if cursor else 0
    except ValueError:
        raise Refused("invalid_cursor") from None
