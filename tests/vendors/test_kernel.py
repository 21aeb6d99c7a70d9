import asyncio
import json
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from local.vendors.kernel import CertificateAuthority, Kernel, Vendor
from local.vendors.kernel.journal import Journal
from local.vendors.kernel.store import Database, Store

from .conftest import StandIns


class Shop:
    """A small stand-in: orders by POST, and what a test needs to see of the kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.store = kernel.store("shop")
        self.starts = 0

    async def start(self) -> None:
        self.starts += 1

    async def order(self, request: web.Request) -> web.Response:
        self.store.put(f"orders/{len(list(self.store.list('orders/')))}", await request.json())
        return web.json_response({"ok": True}, status=201, headers={"x-request-id": "r1"})

    async def orders(self, _: web.Request) -> web.Response:
        return web.json_response([value for _, value in self.store.list("orders/")])

    async def broken(self, _: web.Request) -> web.Response:
        raise RuntimeError("defect")

    async def upload(self, request: web.Request) -> web.Response:
        size = sum([len(chunk) async for chunk in request.content.iter_any()])
        return web.json_response({"size": size})

    def vendor(self) -> Vendor:
        routes = [web.post("/orders", self.order), web.get("/orders", self.orders), web.get("/broken", self.broken)]
        return Vendor(
            name="shop",
            hosts=("*.shop.example",),
            routes=[*routes, web.put("/upload", self.upload)],
            public=self,
            start=self.start,
            claims=lambda host: host == "claimed.example",
        )


def special() -> Vendor:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="special")

    return Vendor(name="special", hosts=("special.shop.example",), routes=[web.get("/orders", answer)])


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Kernel, httpx.AsyncClient]]:
    kernel = Kernel(folder)
    await kernel.start([Shop(kernel).vendor(), special()])
    context = ssl.create_default_context(cafile=str(kernel.authority.certificate_file))
    async with httpx.AsyncClient(proxy=kernel.proxy_url, verify=context, trust_env=False, timeout=10) as client:
        yield kernel, client
    await kernel.stop()


async def admin(kernel: Kernel, method: str, path: str, document: object = None) -> httpx.Response:
    async with httpx.AsyncClient(base_url=kernel.proxy_url, trust_env=False) as client:
        return await client.request(method, f"/_vendors/{path}", json=document)


async def journal(kernel: Kernel, query: str = "") -> list[dict[str, Any]]:
    answer = await admin(kernel, "GET", f"journal{query}")
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_the_most_specific_host_answers_and_unknown_ones_are_named(tmp_path: Path) -> None:
    async with running(tmp_path) as (kernel, client):
        assert (await client.get("https://a.shop.example/orders")).json() == []
        assert (await client.get("https://special.shop.example/orders")).text == "special"
        assert (await client.get("https://claimed.example/orders")).json() == []
        for url in ("https://nobody.example/x", "https://a.shop.example/nothing"):
            answer = await client.delete(url)
            assert answer.status_code == 501
            assert f"DELETE {url}" in answer.json()["detail"]
        systems = [entry["system"] for entry in await journal(kernel)]
        assert systems == ["shop", "special", "shop", "unknown", "shop"]


async def test_one_port_takes_tls_proxy_and_plain_http(tmp_path: Path) -> None:
    async with running(tmp_path) as (kernel, client):
        assert (await client.get("http://a.shop.example/orders")).status_code == 200
        context = ssl.create_default_context(cafile=str(kernel.ca_bundle))
        async with httpx.AsyncClient(verify=context, trust_env=False) as direct:
            for host in ("localhost", "127.0.0.1"):
                assert (await direct.get(f"https://{host}:{kernel.port}/_vendors/health")).json()["status"] == "healthy"
                assert (await direct.get(f"http://{host}:{kernel.port}/_vendors/health")).status_code == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", kernel.port)
        writer.write(b"CONNECT a.shop.exam")
        await writer.drain()
        writer.write(b"ple:443 HTTP/1.1\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_large_body_passes_and_a_defect_is_a_500(tmp_path: Path) -> None:
    async with running(tmp_path) as (kernel, client):
        large = b"x" * (20 * 1024 * 1024)
        assert (await client.put("https://a.shop.example/upload", content=large)).json() == {"size": len(large)}
        assert (await client.get("https://a.shop.example/broken")).status_code == 500
        assert [entry["status"] for entry in await journal(kernel)] == [200, 500]


async def test_the_journal_tells_the_call_but_no_secret(tmp_path: Path) -> None:
    async with running(tmp_path) as (kernel, client):
        order = {"item": 1, "password": "p1", "nested": [{"client_secret": "p2"}], "passwordAuth": "Disabled"}
        headers = {"Authorization": "Bearer p3", "traceparent": "00-1-2-01"}
        await client.post("https://a.shop.example/orders?sig=p4", json=order, headers=headers)
        await client.post("https://a.shop.example/orders", json={"text": "y" * 200_000})
        first, second = await journal(kernel)
        assert first["url"] == "https://a.shop.example/orders?sig=REDACTED"
        assert first["body"]["item"] == 1
        assert first["body"]["passwordAuth"] == "Disabled"
        assert first["mutating"] is True
        assert first["status"] == 201
        assert first["correlation"] == {"traceparent": "00-1-2-01"}
        assert len(second["body"]["text"]) < 300
        text = (tmp_path / "vendors" / "journal.jsonl").read_text()
        assert not any(secret in text for secret in ("p1", "p2", "p3", "p4"))
        assert [entry["n"] for entry in await journal(kernel, "?since=1&system=shop")] == [2]


async def orders_after(kernel: Kernel, client: httpx.AsyncClient, fault: dict[str, Any]) -> tuple[object, int]:
    """The outcome of one order under a fault, and how many orders there are then."""
    assert (await admin(kernel, "POST", "faults", {"system": "shop", "method": "POST", **fault})).status_code == 201
    try:
        answer = await client.post("https://a.shop.example/orders", json={})
        outcome: object = (answer.status_code, answer.text)
    except httpx.RemoteProtocolError:
        outcome = "dropped"
    return outcome, len((await client.get("https://a.shop.example/orders")).json())


async def test_faults_before_and_after_the_commit(tmp_path: Path) -> None:
    async with running(tmp_path) as (kernel, client):
        assert await orders_after(kernel, client, {"mode": "drop_before"}) == ("dropped", 0)
        assert await orders_after(kernel, client, {"mode": "drop_after"}) == ("dropped", 1)
        page = "<html>sign in</html>"
        assert await orders_after(kernel, client, {"mode": "body", "body": page}) == ((200, page), 1)
        assert await orders_after(kernel, client, {"mode": "body", "body": {}}) == ((200, "{}"), 1)
        assert (await orders_after(kernel, client, {"mode": "status", "status": 429, "body": {}})) == ((429, "{}"), 1)
        assert (await orders_after(kernel, client, {"mode": "status_after", "status": 502, "body": "x"})) == (
            (502, "x"),
            2,
        )
        outcome, count = await orders_after(kernel, client, {"mode": "delay", "delay_ms": 30, "path": "^a.shop"})
        assert (outcome, count) == ((201, '{"ok": true}'), 3)
        assert (await admin(kernel, "GET", "faults")).json() == []
        posts = [entry for entry in await journal(kernel) if entry["method"] == "POST"]
        modes = ["drop_before", "drop_after", "body", "body", "status", "status_after", "delay"]
        assert [entry["fault"] for entry in posts] == modes
        assert posts[0]["status"] is None
        assert posts[-1]["duration_ms"] >= 30


async def test_faults_count_skip_and_are_checked(tmp_path: Path) -> None:
    async with running(tmp_path) as (kernel, client):
        fault = {
            "system": "shop",
            "path": "/orders",
            "mode": "status",
            "times": 2,
            "skip": 1,
            "headers": {"Retry-After": "7"},
        }
        await admin(kernel, "POST", "faults", fault)
        answers = [await client.get("https://a.shop.example/orders") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 500, 500, 200]
        assert answers[1].headers["Retry-After"] == "7"
        await admin(kernel, "POST", "faults", {"mode": "status", "times": None})
        await admin(kernel, "DELETE", "faults")
        assert (await client.get("https://a.shop.example/orders")).status_code == 200
        for bad in ({"mode": "explode"}, {"mode": "status", "path": "("}, {"mode": "status", "wher": 1}):
            assert (await admin(kernel, "POST", "faults", bad)).status_code == 400


async def test_latency_reset_and_seed(tmp_path: Path) -> None:
    async with running(tmp_path) as (kernel, client):
        await admin(kernel, "POST", "latency", {"system": "shop", "delay_ms": 40})
        await client.get("https://a.shop.example/orders")
        assert (await journal(kernel))[-1]["duration_ms"] >= 40
        await admin(kernel, "POST", "seed", {"shop": {"orders/0": {"item": "seeded"}}})
        assert (await client.get("https://a.shop.example/orders")).json() == [{"item": "seeded"}]
        assert (await admin(kernel, "POST", "reset")).status_code == 204
        assert await journal(kernel) == []
        assert (await client.get("https://a.shop.example/orders")).json() == []
        assert kernel.vendor("shop").starts == 2
        assert (await journal(kernel))[0]["n"] == 1


async def test_background_work_is_supervised(tmp_path: Path) -> None:
    async def fail() -> None:
        raise ValueError("lost")

    async with running(tmp_path) as (kernel, _):
        task = kernel.spawn(fail(), "poller")
        forever = kernel.spawn(asyncio.Event().wait(), "forever")
        await asyncio.wait([task])
        health = (await admin(kernel, "GET", "health")).json()
        assert health["status"] == "degraded"
        assert "lost" in health["failed_tasks"]["poller"]
    assert forever.cancelled()


def test_children_see_the_stand_ins_and_nothing_of_our_own_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    with closing(Kernel(tmp_path, port=1234)) as kernel:
        environment = kernel.child_environment()
    assert environment["HTTPS_PROXY"] == "http://127.0.0.1:1234"
    assert environment["GIT_SSL_CAINFO"] == str(tmp_path / "ca" / "bundle.pem")
    assert "GITHUB_TOKEN" not in environment


def fail_halfway(store: Store) -> None:
    with store.transaction():
        store.delete("x/1")
        with store.transaction():
            store.put("x/3", 3)
        raise RuntimeError


def test_store_orders_by_prefix_and_rolls_back(tmp_path: Path) -> None:
    database = Database(tmp_path / "d.sqlite3")
    store, other = Store(database, "a"), Store(database, "b")
    other.put("x/1", 0)
    store.put("x/2", {"v": 2})
    store.put("x/1", [1])
    store.put("x_", None)
    assert list(store.list("x/")) == [("x/1", [1]), ("x/2", {"v": 2})]
    assert store.insert("x/1", 9) is False
    assert store.get("x/1") == [1]
    with pytest.raises(RuntimeError):
        fail_halfway(store)
    assert store.get("x/1") == [1]
    assert store.get("x/3") is None
    assert store.delete("x/9") is False
    database.close()


def test_journal_drops_a_torn_line_and_counts_on(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    first = Journal(file)
    first.append({"system": "a"})
    first.append({"system": "b"})
    first.close()
    with file.open("a") as torn:
        torn.write('{"n": 3, "sys')
    second = Journal(file)
    assert second.append({"system": "a"}) == 3
    assert [(entry["n"], entry["system"]) for entry in second.read()] == [(1, "a"), (2, "b"), (3, "a")]
    assert [entry["n"] for entry in second.read(1, "a")] == [3]
    second.close()


def test_the_authority_is_made_once_and_its_certificates_are_strict(tmp_path: Path) -> None:
    first, second = CertificateAuthority(tmp_path), CertificateAuthority(tmp_path)
    assert first.certificate_file.read_bytes() == second.certificate_file.read_bytes()
    leaf = first.leaf("api.github.com")
    assert second.leaf("api.github.com").read_bytes() == leaf.read_bytes()
    assert leaf.stat().st_mode & 0o077 == 0
    assert first.bundle.read_text().count("BEGIN CERTIFICATE") > 50


def test_what_was_answered_survives_a_kill(stand_ins: StandIns) -> None:
    stand_ins.admin.post("seed", json={"entra": {"personas/eve": {"roles": ["Requester"], "teams": ["web"]}}})
    token = stand_ins.token("eve").json()["access_token"]
    keys = stand_ins.client.get("https://login.microsoftonline.com/common/discovery/v2.0/keys").json()
    before = stand_ins.journal()
    stand_ins.kill()
    stand_ins.start()
    assert stand_ins.journal()[: len(before)] == before
    assert stand_ins.client.get("https://login.microsoftonline.com/common/discovery/v2.0/keys").json() == keys
    assert stand_ins.token("eve").status_code == 200
    assert token not in (stand_ins.folder / "vendors" / "journal.jsonl").read_text()
    assert stand_ins.stop(signal.SIGINT) == 0
    stand_ins.start()
