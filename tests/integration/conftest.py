"""Activities, clients and register in this process, against the stand-ins and Azurite: no Functions host."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp.connector
import pytest

from local.stack import Stack
from shared.clients import _arm, _http
from shared.credential import credential
from shared.register import _table
from tests.backstage import backend
from tests.integration.world import World, closing


@pytest.fixture(scope="session")
def vendors_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Azurite and the stand-ins without a host: no sweep touches the requests that the tests make."""
    stack = Stack(tmp_path_factory.mktemp("vendors"))
    stack.claim()
    try:
        stack.start_vendors()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def estate(vendors_only: Stack) -> Iterator[World]:
    """The session's vendors with an administrator's connections to them."""
    # aiohttp makes its trust at import, long before the authority of this run exists.
    aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(str(vendors_only.ca_bundle))
    with closing(World(vendors_only)) as world:
        yield world


@pytest.fixture(scope="session")
def real_backstage(vendors_only: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[backend.Backend]:
    """A real Backstage that reads the stand-ins' GitHub; only for make test-backstage."""
    with backend.real_backstage(vendors_only, tmp_path_factory.mktemp("backstage")) as running:
        yield running


@pytest.fixture
def asked_for_backstage(request: pytest.FixtureRequest) -> backend.Backend:
    """A real Backstage, if this run shall have one."""
    if backend.ASKED_FOR not in os.environ:
        pytest.skip(backend.WHY_SKIPPED)
    running: backend.Backend = request.getfixturevalue("real_backstage")
    return running


@pytest.fixture(params=["stand-in", "real"])
def backstage(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with a Backstage: the stand-in's answers are held against those of a real one."""
    if request.param == "real":
        running = request.getfixturevalue("asked_for_backstage")
        monkeypatch.setenv("BACKSTAGE_BASE_URL", running.address)
    return world


@pytest.fixture
async def world(estate: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """The product sees the stand-ins; afterwards its connections of this event loop are closed and faults are gone."""
    async with seeing(estate, monkeypatch):
        yield estate
        estate.heal()


@pytest.fixture
async def hosted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A local run of the test's own whose host the test starts: until then no sweep touches what it makes."""
    settings = {"ARCHETYPES_FOLDER": str(tmp_path / "archetypes")}
    stack = Stack(tmp_path / "stack", host_environment=settings)
    stack.claim()
    try:
        stack.start_vendors()
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(str(stack.ca_bundle))
        with closing(World(stack)) as world:
            async with seeing(world, monkeypatch):
                yield world
    finally:
        stack.stop()


@asynccontextmanager
async def seeing(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The product of this process calls the world's vendors; afterwards its connections are closed."""
    stack = world.stack
    for name, value in stack.product_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SSL_CERT_FILE", str(stack.directory / "ca" / "ca.pem"))  # 100 public roots less to read
    yield
    if _arm._budgets():
        await world.unpause()
    await _http._client().aclose()
    for table in _table._ready():
        await table.close()
    await credential().close()
