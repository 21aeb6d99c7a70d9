"""The Slack stand-in behaves like the Web API: 200 to everything, and `ok` tells."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.platform import SECRETS
from local.vendors import slack
from local.vendors.kernel import Kernel

CHANNEL = "C0APPSTORE"
METADATA = {"event_type": "appstore_message", "event_payload": {"key": "req-1:welcome:0"}}
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "Hello", "verbatim": True}}


class Client(httpx.AsyncClient):
    kernel: Kernel

    async def ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call a method with a JSON body, as documented for bot tokens."""
        headers = {"Content-Type": "application/json; charset=utf-8"}
        answer = await self.post(f"/api/{method}", json=arguments, headers=headers)
        assert answer.status_code == 200
        document: dict[str, Any] = answer.json()
        return document

    async def read(self, method: str, **arguments: Any) -> dict[str, Any]:
        answer = await self.get(f"/api/{method}", params=arguments)
        document: dict[str, Any] = answer.json()
        return document


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    kernel = Kernel(tmp_path)
    await kernel.start([slack.build(kernel)])
    trust = ssl.create_default_context(cafile=str(kernel.ca_bundle))
    token = {"Authorization": f"Bearer {SECRETS['slack-bot-token']}"}
    async with Client(base_url="https://slack.com", proxy=kernel.proxy_url, verify=trust, headers=token) as http:
        http.kernel = kernel
        yield http
    await kernel.stop()


async def test_a_wrong_token_is_200_and_not_ok(client: Client) -> None:
    assert (await client.ask("auth.test"))["user_id"]
    client.headers["Authorization"] = "Bearer xoxb-other"
    assert await client.ask("auth.test") == {"ok": False, "error": "invalid_auth"}
    del client.headers["Authorization"]
    assert await client.ask("auth.test") == {"ok": False, "error": "not_authed"}


async def test_a_message_is_found_by_its_metadata(client: Client) -> None:
    await client.ask("chat.postMessage", channel=CHANNEL, text="before")
    posted = await client.ask("chat.postMessage", channel=CHANNEL, text="hi", blocks=[SECTION], metadata=METADATA)
    assert posted["ok"]
    assert posted["message"]["blocks"] == [SECTION]
    page = await client.read("conversations.history", channel=CHANNEL, include_all_metadata="true")
    assert [message["text"] for message in page["messages"]] == ["hi", "before"]
    assert page["messages"][0]["metadata"] == METADATA
    assert page["messages"][0]["ts"] == posted["ts"]
    bare = await client.read("conversations.history", channel=CHANNEL)
    assert "metadata" not in bare["messages"][0]
    link = await client.read("chat.getPermalink", channel=CHANNEL, message_ts=posted["ts"])
    assert link["permalink"] == f"https://contoso.slack.com/archives/{CHANNEL}/p{posted['ts'].replace('.', '')}"


async def test_history_has_pages(client: Client) -> None:
    for number in range(5):
        await client.ask("chat.postMessage", channel=CHANNEL, text=str(number))
    seen, cursor = [], ""
    while True:
        page = await client.read("conversations.history", channel=CHANNEL, limit="2", cursor=cursor)
        seen += [message["text"] for message in page["messages"]]
        cursor = page.get("response_metadata", {}).get("next_cursor", "")
        if not page["has_more"]:
            break
    assert seen == ["4", "3", "2", "1", "0"]
    newest = (await client.read("conversations.history", channel=CHANNEL, limit="1"))["messages"][0]["ts"]
    later = await client.read("conversations.history", channel=CHANNEL, oldest=newest)
    assert later["messages"] == []
    refused = await client.read("conversations.history", channel=CHANNEL, cursor="bm90aGluZw==")
    assert refused["error"] == "invalid_cursor"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ({"channel": "C0STRANGERS", "text": "x"}, "not_in_channel"),
        ({"channel": "C0ARCHIVED", "text": "x"}, "is_archived"),
        ({"channel": CHANNEL}, "no_text"),
        ({"channel": CHANNEL, "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": CHANNEL, "text": "x", "blocks": [SECTION] * 51}, "invalid_blocks"),
        ({"channel": CHANNEL, "text": "x", "blocks": [{"type": "shout"}]}, "invalid_blocks"),
        (
            {"channel": CHANNEL, "text": "x", "blocks": [{"type": "header", "text": SECTION["text"]}]},
            "invalid_blocks",
        ),
        (
            {"channel": CHANNEL, "text": "x", "blocks": [SECTION | {"text": {"type": "mrkdwn", "text": "x" * 3001}}]},
            "invalid_blocks",
        ),
        ({"channel": CHANNEL, "text": "x", "metadata": {"event_type": "x"}}, "invalid_metadata_format"),
    ],
)
async def test_what_slack_refuses_is_refused_with_its_code(
    client: Client, arguments: dict[str, Any], error: str
) -> None:
    answer = await client.ask("chat.postMessage", **arguments)
    assert (answer["ok"], answer["error"]) == (False, error)
    history = await client.read("conversations.history", channel=CHANNEL)
    assert history["messages"] == []


async def test_json_without_a_charset_is_warned_about_and_nonsense_refused(client: Client) -> None:
    answer = await client.post("/api/chat.postMessage", json={"channel": CHANNEL, "text": "x"})
    assert answer.json()["warning"] == "missing_charset"
    answer = await client.post("/api/chat.postMessage", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.json()["error"] == "invalid_json"


async def test_the_second_message_of_a_second_is_one_too_many_where_that_is_asked_for(client: Client) -> None:
    async with httpx.AsyncClient(trust_env=False) as person:
        seed = {"slack": {"settings/rate-limit": True}}
        await person.post(f"{client.kernel.proxy_url}/_vendors/seed", json=seed)
        assert (await client.ask("chat.postMessage", channel=CHANNEL, text="1"))["ok"]
        answer = await client.post("/api/chat.postMessage", json={"channel": CHANNEL, "text": "2"})
        shown = (await person.get(f"{client.kernel.proxy_url}/_vendors/slack")).json()
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert answer.json()["error"] == "ratelimited"
    assert [message["text"] for message in shown["app-store"]] == ["1"]


async def test_what_the_stand_in_does_not_know_is_501(client: Client) -> None:
    assert (await client.post("/api/chat.delete")).status_code == 501
