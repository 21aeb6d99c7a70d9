"""What only the stand-in can show. Everything else runs against a real Backstage, too: tests/integration."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.vendors import backstage, entra
from local.vendors.kernel import Kernel, Vendor
from tests.vendors import github_world

TARGET = "https://github.com/contoso/payments-api/blob/main/catalog-info.yaml"
LOCATION = {"type": "url", "target": TARGET}
SYSTEM = "apiVersion: backstage.io/v1alpha1\nkind: System\nmetadata: {name: NAME}\nspec: {owner: a}\n"
ORIGIN = "metadata.annotations.backstage.io/managed-by-origin-location"
TASKS = "scaffolder/v2/tasks"


class World(github_world.World):
    """GitHub with one repository, Entra ID and Backstage."""

    def others(self) -> list[Vendor]:
        return [*super().others(), entra.build(self.kernel), backstage.build(self.kernel)]

    async def sign_in(self, audience: str) -> str:
        query = {"resource": audience, "api-version": "2019-08-01"}
        async with httpx.AsyncClient(trust_env=False, headers={"X-IDENTITY-HEADER": "local"}) as machine:
            answer = await machine.get(f"{self.kernel.proxy_url}/msi/token", params=query)
        return str(answer.json()["access_token"])

    async def ask(
        self, method: str, path: str, body: Any = None, status: int = 200, audience: str = "api://backstage-scaffolder"
    ) -> Any:
        """A call of Backstage; the scaffolder's token may call both plugins."""
        headers = {"Authorization": f"Bearer {await self.sign_in(audience)}"}
        tls, proxy = self.kernel.authority.client_context(), self.kernel.proxy_url
        url = f"https://backstage.contoso.com/api/{path}"
        async with self.session.request(method, url, json=body, headers=headers, proxy=proxy, ssl=tls) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json() if answer.status != 204 else None

    async def entity(self, name: str) -> Any:
        body = {"entityRefs": [f"system:default/{name}"]}
        return (await self.ask("POST", "catalog/entities/by-refs", body))["items"][0]

    async def shown(self, name: str) -> Any:
        """The entity as soon as it is there."""
        for _ in range(200):
            if found := await self.entity(name):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"{name} does not appear")

    async def content(self, *names: str) -> None:
        text = "---\n".join(SYSTEM.replace("NAME", name) for name in names) or "a: ["
        await self.commit({"catalog-info.yaml": text})

    async def refresh(self) -> str:
        answer = await self.ask("POST", "catalog/locations?onConflict=refresh", LOCATION, 201)
        return str(answer["location"]["id"])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.start()
    await world.create()
    yield world
    await world.stop()


async def test_what_it_does_not_know_is_not_implemented(world: World) -> None:
    for path in (
        "catalog/entities/by-query?filter=kind=system",
        f"catalog/entities/by-query?filter={ORIGIN}=a,kind=b",
        f"catalog/entities/by-query?filter={ORIGIN}=a&orderField=x",
        "catalog/entity-facets?facet=kind",
        f"{TASKS}?status=open",
        f"{TASKS}?order=asc:created_at",
        "scaffolder/v2/actions",
    ):
        await world.ask("GET", path, status=501)


async def test_a_token_for_something_else_is_illegal(world: World) -> None:
    for audience in ("api://appstore", "https://management.azure.com", "backstage"):
        refused = await world.ask("GET", "catalog/locations", status=401, audience=audience)
        assert refused["error"] == {"name": "AuthenticationError", "message": "Illegal token"}
    catalog = "api://backstage-catalog"
    assert await world.ask("GET", "catalog/locations", audience=catalog) == []
    refused = await world.ask("GET", TASKS, status=403, audience=catalog)
    assert refused["error"]["name"] == "NotAllowedError"


async def test_entities_follow_their_file_and_outlive_its_end(world: World) -> None:
    await world.content("one", "two")
    await world.refresh()
    uid = (await world.shown("one"))["metadata"]["uid"]
    await world.content("one", "three")
    await world.refresh()
    await world.shown("three")
    assert await world.entity("two") is None
    assert (await world.entity("one"))["metadata"]["uid"] == uid
    await world.content()
    await world.refresh()
    store = world.kernel.store("backstage")
    ((key, source),) = store.list("source/")
    store.put(key, source | {"due": 0})
    assert await world.entity("one")
    ((_, source),) = store.list("source/")
    assert source["due"] > time.time(), "the broken file was not read"


async def test_the_second_owner_of_a_name_gets_it_when_the_first_one_goes(world: World) -> None:
    await world.content("one")
    first = await world.refresh()
    await world.shown("one")
    await world.commit({"other.yaml": SYSTEM.replace("NAME", "one")})
    other = {"type": "url", "target": TARGET.replace("catalog-info", "other")}
    await world.ask("POST", "catalog/locations", other, 201)
    await world.ask("DELETE", f"catalog/locations/{first}", status=204)
    found = await world.shown("one")
    assert found["metadata"]["annotations"]["backstage.io/managed-by-origin-location"] == f"url:{other['target']}"


async def test_a_task_without_a_worker_stays_as_it_is(world: World) -> None:
    left, then = str(uuid4()), "2026-01-01T00:00:00.000Z"
    spec: dict[str, Any] = {"steps": [], "output": {}, "parameters": {}}
    task = {"id": left, "spec": spec, "status": "processing", "createdAt": then, "lastHeartbeatAt": then}
    world.kernel.store("backstage").put(f"task/{left}", {"task": task, "events": []})
    assert await world.ask("GET", f"{TASKS}/{left}") == task
    assert (await world.ask("POST", f"{TASKS}/{left}/cancel")) == {"status": "cancelled"}
    assert (await world.ask("GET", f"{TASKS}/{left}"))["status"] == "processing"


async def test_lists_of_tasks_have_pages(world: World) -> None:
    values = {"requestId": "req-1", "application": "payments-api", "owner": "group:default/payments"}
    body = {"templateRef": "template:default/announce-application", "values": values}
    started = [(await world.ask("POST", TASKS, body, 201))["id"] for _ in range(3)]
    page = await world.ask("GET", f"{TASKS}?order=desc:created_at&limit=2&offset=1")
    assert ([task["id"] for task in page["tasks"]], page["totalTasks"]) == ([started[1], started[0]], 3)
    refused = await world.ask("POST", TASKS, body | {"values": {}}, 400)
    assert [error["name"] for error in refused["errors"]] == ["required"] * 3


async def test_what_was_answered_survives_another_start(world: World, tmp_path: Path) -> None:
    await world.content("one")
    identifier = await world.refresh()
    await world.shown("one")
    other = Kernel(tmp_path)
    assert [row["id"] for _, row in other.store("backstage").list("location/")] == [identifier]
    assert other.store("backstage").get("entity/system:default/one")
    other.close()
