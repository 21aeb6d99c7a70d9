"""The Event Grid stand-in tells what became true, pushes it as Event Grid does, and gives up as it does."""

import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from local.vendors import arm, entra, event_grid, key_vault
from local.vendors.kernel import Kernel

GROUP = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore"
TOPIC = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-appstore"
KEY = "https://kv-appstore.vault.azure.net/secrets/key"
NEAR, EXPIRED, NEW = (f"Microsoft.KeyVault.Secret{kind}" for kind in ("NearExpiry", "Expired", "NewVersionCreated"))
WRITE, DELETE = (f"Microsoft.Resources.Resource{kind}Success" for kind in ("Write", "Delete"))
DAY = 86400


@dataclass
class Hook:
    """A webhook that answers as it is told, first come, first served; then 202."""

    answers: list[int] = field(default_factory=list)
    handshakes: int = 0
    batches: list[list[dict[str, Any]]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        events = await request.json()
        if request.headers["aeg-event-type"] == "SubscriptionValidation":
            self.handshakes += 1
            return web.json_response({"validationResponse": events[0]["data"]["validationCode"]})
        assert request.headers["aeg-subscription-name"] == "MINE"
        self.batches.append(events)
        return web.Response(status=self.answers.pop(0) if self.answers else 202)

    def told(self) -> list[str]:
        return [event["eventType"] for batch in self.batches for event in batch]


@dataclass
class Grid:
    """A kernel with the stand-ins that publish, and one subscription."""

    folder: Path
    hook: Hook
    kinds: list[str]
    kernel: Kernel = field(init=False)
    http: httpx.AsyncClient = field(init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the stand-ins; what they knew before they know again."""
        self.kernel = Kernel(self.folder)
        await self.kernel.start([one.build(self.kernel) for one in (entra, key_vault, arm, event_grid)])
        trust = ssl.create_default_context(cafile=str(self.kernel.ca_bundle))
        async with httpx.AsyncClient(proxy=self.kernel.proxy_url, verify=trust, trust_env=False) as self.http:
            yield
        await self.kernel.stop()

    def subscribe(self, endpoint: str) -> None:
        store = self.kernel.store("event_grid")
        store.put("subscription/mine", {"endpoint": endpoint, "kinds": self.kinds})
        store.put("settings/hurry", 0.05)

    async def call(self, method: str, url: str, body: Any = None) -> httpx.Response:
        resource = "https://vault.azure.net" if "vault.azure.net" in url else "https://management.azure.com"
        query = {"resource": resource, "api-version": "2019-08-01"}
        async with httpx.AsyncClient(trust_env=False) as identity:
            answer = await identity.get(
                f"{self.kernel.proxy_url}/msi/token", params=query, headers={"X-IDENTITY-HEADER": "local"}
            )
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return await self.http.request(method, f"{url}?api-version=2025-04-01", json=body, headers=headers)

    async def account(self) -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False) as person:
            found: dict[str, Any] = (await person.get(f"{self.kernel.proxy_url}/_vendors/event_grid")).json()
        return found

    async def until(self, look: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Look at the account until it is so."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = await self.account()
            if look(found):
                return found
        raise AssertionError(found)


@pytest.fixture
async def hook() -> AsyncIterator[tuple[Hook, str]]:
    made = Hook()
    application = web.Application()
    application.router.add_post("/hook", made.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield made, f"http://127.0.0.1:{port}/hook?functionName=take&code=secret-key"
    await runner.cleanup()


@pytest.mark.long
async def test_the_end_of_a_secret_is_told_once_for_each_end_also_after_a_restart(
    tmp_path: Path, hook: tuple[Hook, str]
) -> None:
    taken, url = hook
    grid = Grid(tmp_path, taken, [NEAR, EXPIRED, NEW])
    async with grid.running():
        grid.subscribe(url)
        far = {"value": "s3cret", "attributes": {"exp": int(time.time()) + 40 * DAY}}
        version = (await grid.call("PUT", KEY, far)).json()["id"]
        await grid.until(lambda _: taken.told() == [NEW])
        today = int(time.time()) // DAY * DAY
        for days, told in ((20, [NEW, NEAR]), (20, [NEW, NEAR]), (-1, [NEW, NEAR, EXPIRED])):
            await grid.call("PATCH", version, {"attributes": {"exp": today + days * DAY}})
            await grid.until(lambda _, told=told: taken.told() == told)  # type: ignore[misc]
    async with grid.running():
        await grid.call("PUT", KEY, far)
        account = await grid.until(lambda _: len(taken.told()) >= 4)
    assert taken.told() == [NEW, NEAR, EXPIRED, NEW]
    event = taken.batches[1][0]
    assert (event["topic"], event["subject"]) == (TOPIC, "key")
    assert event["data"]["Version"] == version.rpartition("/")[2]
    assert event["data"]["EXP"] > time.time()
    assert "s3cret" not in str(taken.batches)
    assert "secret-key" not in str(account)
    assert taken.handshakes == 1


async def test_what_is_not_taken_comes_again_and_what_is_refused_never(tmp_path: Path, hook: tuple[Hook, str]) -> None:
    taken, url = hook
    taken.answers += [503, 500, 200, 400]
    grid = Grid(tmp_path, taken, [NEW])
    async with grid.running():
        grid.subscribe(url)
        await grid.call("PUT", KEY, {"value": "a"})
        account = await grid.until(lambda found: len(found["attempts"]) == 3)
        assert [attempt["status"] for attempt in account["attempts"]] == [503, 500, 200]
        assert len({event["id"] for batch in taken.batches for event in batch}) == 1
        assert account["deadLetters"] == []
        await grid.call("PUT", KEY, {"value": "b"})
        (dead,) = (await grid.until(lambda found: bool(found["deadLetters"])))["deadLetters"]
        assert (dead["lastDeliveryOutcome"], dead["deliveryAttempts"]) == ("BadRequest", 1)
        taken.answers += [503] * 2
        grid.kernel.store("event_grid").put("settings/attempts", 2)
        await grid.call("PUT", KEY, {"value": "c"})
        account = await grid.until(lambda found: len(found["deadLetters"]) == 2)
    assert {item["deadLetterReason"] for item in account["deadLetters"]} == {
        "UndeliverableDueToClientError",
        "MaxDeliveryAttemptsExceeded",
    }
    assert account["waiting"] == []


async def test_writes_and_removals_of_resources_are_told_and_refused_ones_are_not(
    tmp_path: Path, hook: tuple[Hook, str]
) -> None:
    taken, url = hook
    grid = Grid(tmp_path, taken, [WRITE, DELETE])
    identity = f"https://management.azure.com{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-told"
    async with grid.running():
        grid.subscribe(url)
        assert (await grid.call("PUT", identity.replace("rg-appstore", "rg-nowhere"), {})).status_code == 404
        assert (await grid.call("PUT", identity, {"location": "westeurope"})).is_success
        assert (await grid.call("GET", identity)).is_success
        assert (await grid.call("DELETE", identity)).is_success
        assert (await grid.call("DELETE", identity)).status_code == 204
        await grid.until(lambda _: DELETE in taken.told())
    events = [event for batch in taken.batches for event in batch if event["subject"].endswith("id-told")]
    written = events[0]["data"]
    assert events[-1]["eventType"] == DELETE
    assert [event["eventType"] for event in events].count(DELETE) == 1
    assert written["operationName"] == "Microsoft.ManagedIdentity/userAssignedIdentities/write"
    assert written["claims"]["http://schemas.microsoft.com/identity/claims/objectidentifier"]
    assert not [event for batch in taken.batches for event in batch if "rg-nowhere" in event["subject"]]
