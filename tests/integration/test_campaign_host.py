"""A campaign over twenty applications through the real host, which is killed in the middle, twice."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.register import _table
from tests.e2e.driver import Desk, until
from tests.integration.test_campaigns import BESIDE, OURS, Shop, pulls, text_of
from tests.integration.world import World

CONFLICTS = (4, 9, 17)


async def made(shop: Shop, **changed: str) -> str:
    """An application as a finished request leaves it: repository and content by the product's own activities."""
    name = await shop.application(**changed)
    async for row in _table.scan(name, "request:"):
        document = row.document | {"state": "succeeded"}
        await _table.commit(name, [_table.Write(row.key, document, etag=row.etag)])
    return name


@pytest.mark.long
@pytest.mark.timeout(1500)
async def test_twenty_applications_three_in_conflict_and_a_host_that_dies_twice(hosted: World, tmp_path: Path) -> None:
    shop, stack, desk = Shop(hosted, tmp_path / "archetypes"), hosted.stack, Desk(hosted.stack)
    changes = {number: OURS if number in CONFLICTS else BESIDE if number % 2 else {} for number in range(20)}
    fleet = [await made(shop, **changes[number]) for number in range(20)]
    shop.release()
    await asyncio.to_thread(stack.start_host)
    answer = desk.call("POST", "archetypes/small/campaigns", "operator", {}, Idempotency_Key="twenty")
    assert answer.status_code == 202, answer.text
    place = f"campaigns/{answer.json()['id']}"

    def campaign() -> dict[str, Any]:
        try:
            shown: dict[str, Any] = desk.call("GET", place, "operator").json()
        except httpx.TransportError:
            return {"state": "unknown", "applications": []}
        return shown

    def proposed(many: int) -> bool | None:
        return sum(item["state"] != "planned" for item in campaign()["applications"]) >= many or None

    def ended() -> bool | None:
        return campaign()["state"] not in ("running", "unknown") or None

    for many in (1, 8):  # in the canary, and in the middle of the last wave
        await asyncio.to_thread(until, f"{many} are proposed", partial(proposed, many), 300)
        assert campaign()["state"] == "running"
        stack.kill_host()
        await asyncio.to_thread(stack.start_host)
    await asyncio.to_thread(until, "the campaign ends", ended, 900)
    shown = campaign()
    assert shown["state"] == "succeeded", shown["problem"]
    assert {state: count for state, count in shown["counts"].items() if count} == {"passed": 17, "conflict": 3}
    again = desk.call("POST", "archetypes/small/campaigns", "operator", {}, Idempotency_Key="twenty")
    assert again.json()["id"] == shown["id"]
    for number, name in enumerate(fleet):
        (pull,) = pulls(hosted, name)
        labels = {label["name"] for label in pull["labels"]}
        text = text_of(hosted, name, "settings.ini", pull["head"]["sha"]) or ""
        marked = number in CONFLICTS
        assert (pull["draft"], "template-conflict" in labels, "<<<<<<< " in text) == (marked, marked, marked), name
        assert "template-update" in labels
        assert text_of(hosted, name, "new.txt", pull["head"]["sha"]) == "2.0.0\n"
