"""Slack: messages to a channel by the App Store's bot.

Documentation: https://docs.slack.dev/reference/methods/chat.postMessage
"""

import os
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from shared.clients._http import Answer, Call, Vendor
from shared.clients._retry_after import retry_after
from shared.clients.key_vault import read_secret
from shared.errors import (
    IntegrationError,
    NotAuthorizedError,
    NotFoundError,
    PermanentIntegrationError,
    TransientIntegrationError,
    VendorCall,
)
from shared.models import Model
from shared.settings import Settings, load

EVENT = "appstore_message"
_OTHER = "TEAMS_KEY_VAULT"
_PAGE = "200"
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_BUSY = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"})
_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_SENTENCES: dict[str, tuple[type[PermanentIntegrationError], str]] = {
    "not_in_channel": (PermanentIntegrationError, "the App Store's bot is not in the channel: /invite it there"),
    "channel_not_found": (NotFoundError, "there is no channel with the id of SLACK_CHANNEL, or the bot cannot see it"),
    "is_archived": (PermanentIntegrationError, "the channel is archived"),
    "invalid_auth": (NotAuthorizedError, "Slack does not know the bot's token"),
    "not_authed": (NotAuthorizedError, "Slack got no token"),
    "token_revoked": (NotAuthorizedError, "the bot's token was revoked"),
    "token_expired": (NotAuthorizedError, "the bot's token has expired"),
    "account_inactive": (NotAuthorizedError, "the bot was removed from the workspace"),
    "missing_scope": (NotAuthorizedError, "the bot lacks a scope: it needs chat:write and channels:history"),
    "no_permission": (NotAuthorizedError, "the workspace does not allow the bot this"),
    "restricted_action": (NotAuthorizedError, "the workspace does not let bots post in this channel"),
    "message_not_found": (NotFoundError, "the message is not there any more"),
}


class SlackSettings(Settings):
    """Slack. Without a channel there are no messages to Slack."""

    model_config = SettingsConfigDict(env_prefix="SLACK_", frozen=True, extra="ignore")

    channel: str = Field(default="", description="Id of the channel (`C...`), not its name; empty: Slack is not used.")
    key_vault: str = Field(default="", description="Address of the Key Vault that holds the bot's token.")
    token_secret_name: str = Field(
        default="slack-bot-token", description="Name of that secret: a bot token with `chat:write`, `channels:history`."
    )

    @field_validator("channel")
    @classmethod
    def _is_the_only_chat(cls, channel: str) -> str:
        if channel and os.environ.get(_OTHER, "").strip():
            raise ValueError(f"SLACK_CHANNEL and {_OTHER} are both set, but an application gets one welcome: empty one")
        return channel


class Posted(Model):
    """A message: its channel and its time stamp, which is its id."""

    channel: str
    ts: str


class _Said(Model):
    ok: bool
    error: str = ""


class _Permalink(Model):
    permalink: str


class _Metadata(Model):
    event_type: str = ""
    event_payload: dict[str, Any] = {}

    model_config = {**Model.model_config, "alias_generator": None}


class _Message(Model):
    ts: str
    metadata: _Metadata = _Metadata()


class _Cursor(Model):
    next_cursor: str = ""

    model_config = {**Model.model_config, "alias_generator": None}


class _History(Model):
    messages: list[_Message]
    response_metadata: _Cursor = _Cursor()

    model_config = {**Model.model_config, "alias_generator": None}


def configured() -> bool:
    """Whether messages go to Slack.

    Raises:
        ConfigurationError: they would also go to Teams.
    """
    return bool(load(SlackSettings).channel)


async def _authorise() -> dict[str, str]:
    settings = load(SlackSettings)
    token = await read_secret(settings.key_vault, settings.token_secret_name)
    return {"Authorization": f"Bearer {token.strip()}"}


def _vendor() -> Vendor:
    return Vendor("slack", "https://slack.com/api", _authorise)


async def post_message(key: str, text: str, blocks: list[dict[str, Any]]) -> Posted:
    """Post a message that carries a key in its metadata.

    Raises:
        TransientIntegrationError: with 429 it was not posted; otherwise it may have been.
        PermanentIntegrationError: it was not posted; the sentence says why.
    """
    body = {
        "channel": load(SlackSettings).channel,
        "text": text,
        "blocks": blocks,
        "client_msg_id": str(uuid5(NAMESPACE_URL, key)),
        "metadata": {"event_type": EVENT, "event_payload": {"key": key}},
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    return await _ask(Call("post message", "POST", "/chat.postMessage", body, headers=_JSON), Posted)


async def find_message(key: str, since: datetime) -> Posted | None:
    """The oldest message that carries the key and was posted since then, or None.

    Documentation: https://docs.slack.dev/reference/methods/conversations.history
    """
    channel, cursor = load(SlackSettings).channel, ""
    found = None
    while True:
        params = {
            "channel": channel,
            "include_all_metadata": "true",
            "oldest": f"{since.astimezone(UTC).timestamp():.6f}",
            "limit": _PAGE,
        }
        call = Call(
            "read history", "GET", "/conversations.history", params=params | ({"cursor": cursor} if cursor else {})
        )
        page = await _ask(call, _History)
        for message in page.messages:  # the newest first
            if message.metadata.event_type == EVENT and message.metadata.event_payload.get("key") == key:
                found = Posted(channel=channel, ts=message.ts)
        cursor = page.response_metadata.next_cursor
        if not cursor:
            return found


async def read_permalink(posted: Posted) -> str:
    """The address of a message.

    Documentation: https://docs.slack.dev/reference/methods/chat.getPermalink
    """
    params = {"channel": posted.channel, "message_ts": posted.ts}
    return (await _ask(Call("get permalink", "GET", "/chat.getPermalink", params=params), _Permalink)).permalink


async def _ask[T](call: Call, shape: type[T]) -> T:
    """Slack answers 200 to everything; ``ok`` tells whether it did what was asked."""
    answer = await _vendor().call(call)
    said = _vendor().shaped(call, answer, _Said)
    if not said.ok:
        raise _error_of(call, answer, said.error)
    return _vendor().shaped(call, answer, shape)


def _error_of(call: Call, answer: Answer, code: str) -> IntegrationError:
    """The error that a code of Slack stands for."""
    if code in _LIMITED:
        wait = retry_after(answer.headers, datetime.now(UTC))
        return TransientIntegrationError(VendorCall("slack", call.operation, 429), code, wait)
    place = VendorCall("slack", call.operation, answer.status)
    if code in _BUSY or not code:
        return TransientIntegrationError(place, code or "Slack did not say why")
    kind, sentence = _SENTENCES.get(code, (PermanentIntegrationError, "Slack refused"))
    return kind(place, f"{sentence} ({code})")
