"""The Teams stand-in behaves like a Workflows webhook: it accepts first and fails where only its owner looks."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.platform import SECRETS
from local.vendors import teams
from local.vendors.kernel import Kernel

URL = SECRETS["teams-webhook-url"]
CARD = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [{"type": "TextBlock", "text": "Hello [x](https://a.example)"}],
}
ADAPTIVE = "application/vnd.microsoft.card.adaptive"


class Client(httpx.AsyncClient):
    kernel: Kernel

    async def page(self, path: str = "", **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, headers=headers) as person:
            return await person.get(f"{self.kernel.proxy_url}/_vendors/teams{path}")

    async def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.page("/runs")).json()["value"]
        return found

    async def settled(self) -> list[dict[str, Any]]:
        """The runs, none of them under way any more."""
        for _ in range(200):
            if all(run["status"] != "Running" for run in await self.runs()):
                break
        return await self.runs()


def message(card: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "message", "attachments": [{"contentType": ADAPTIVE, "content": card or CARD}]} | more


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    kernel = Kernel(tmp_path)
    await kernel.start([teams.build(kernel)])
    trust = ssl.create_default_context(cafile=str(kernel.ca_bundle))
    async with Client(proxy=kernel.proxy_url, verify=trust, trust_env=False) as http:
        http.kernel = kernel
        yield http
    await kernel.stop()


async def test_a_card_is_accepted_and_then_in_the_channel(client: Client) -> None:
    answer = await client.post(URL, json=message())
    assert (answer.status_code, answer.content) == (202, b"")
    assert [run["status"] for run in await client.settled()] == ["Succeeded"]
    assert [item["card"] for item in (await client.page()).json()["messages"]] == [CARD]
    shown = (await client.page(Accept="text/html")).text
    assert "<a href='https://a.example'>x</a>" in shown


async def test_the_signature_is_the_credential(client: Client) -> None:
    for url, status in (
        (URL.partition("&sig=")[0], 401),
        (URL + "x", 401),
        (URL.replace("sv=1.0", "sv=2.0"), 401),
        (URL.replace("api-version=1&", ""), 400),
    ):
        answer = await client.post(url, json=message())
        assert answer.status_code == status, url
        assert answer.json()["error"]["code"]
    assert await client.runs() == []


async def test_the_signature_is_in_no_journal(client: Client) -> None:
    await client.post(URL, json=message())
    async with httpx.AsyncClient(trust_env=False) as person:
        journal = (await person.get(f"{client.kernel.proxy_url}/_vendors/journal")).text
    assert "powerautomate" in journal
    assert "teams-webhook-signature" not in journal


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"text": "a connector's message"}, "'Null'"),
        (message(attachments={}), "'dict'"),
        (message(type="card"), "must be message"),
        (message(attachments=[{"contentType": "text/html", "content": CARD}]), "content type"),
        (message(CARD | {"version": "1.6"}), "version 1.6"),
        (message(CARD | {"body": [{"type": "Shout"}]}), "Shout"),
        (message(CARD | {"body": [{"type": "TextBlock"}]}), "lacks text"),
        (message(CARD | {"actions": [{"type": "Action.Submit"}]}), "Action.Submit"),
        (message(CARD | {"actions": [{"type": "Action.OpenUrl", "url": "javascript:0"}]}), "web address"),
        (message(CARD | {"body": [{"type": "TextBlock", "text": "x" * 30_000}]}), "28 KB"),
    ],
)
async def test_a_body_that_is_wrong_is_accepted_and_fails_where_the_owner_looks(
    client: Client, body: dict[str, Any], words: str
) -> None:
    assert (await client.post(URL, json=body)).status_code == 202
    (run,) = await client.settled()
    assert run["status"] == "Failed"
    assert words in run["error"]
    assert (await client.page()).json() == {"messages": []}


async def test_the_old_host_names_are_the_same_flow(client: Client) -> None:
    old = "https://prod-01.westeurope.logic.azure.com:443/workflows/abc" + URL[URL.index("/triggers/manual/paths") :]
    assert (await client.post(old, json=message())).status_code == 202
    assert len(await client.settled()) == 1


async def test_the_channel_survives_the_end_of_the_process(client: Client, tmp_path: Path) -> None:
    await client.post(URL, json=message())
    await client.settled()
    await client.kernel.stop()
    again = Kernel(tmp_path)
    await again.start([teams.build(again)])
    client.kernel = again
    assert len((await client.page()).json()["messages"]) == 1


async def test_what_the_stand_in_does_not_know_is_501(client: Client) -> None:
    assert (await client.get(URL)).status_code == 501
