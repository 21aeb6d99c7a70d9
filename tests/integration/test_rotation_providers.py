"""Every provider's credentials: one turn, one at a time, and consumers that never notice."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from activities._activity import registered
from local.vendors.kernel.certificates import CertificateAuthority
from shared.credential import access_token, own_claims
from shared.models.operations import OperationState
from shared.register import operations
from tests import postgresql
from tests.integration import day2, wire
from tests.integration.day2 import WorkerDiedError, active, ask, operate, perform, rows
from tests.integration.rotated_secrets import (
    POSTGRESQL,
    AppSecret,
    PostgresqlSecret,
    Secret,
    ServiceBusSecret,
    StorageSecret,
    holds,
    killing,
    leave_room,
    watched,
)
from tests.integration.world import TENANT, World

KINDS: dict[str, type[Secret]] = {
    "storage": StorageSecret,
    "service bus": ServiceBusSecret,
    "entra": AppSecret,
    "postgresql": PostgresqlSecret,
}
REAL = [pytest.mark.long, pytest.mark.skipif(bool(postgresql.missing()), reason=postgresql.missing())]
MARKS = {"postgresql": REAL}
# The other tests of storage keys are in tests/integration/test_rotation.py.
OTHERS = [pytest.param(kind, marks=MARKS.get(kind, [])) for kind in KINDS if kind != "storage"]
CALLS = {"storage": 17, "service bus": 17, "entra": 20, "postgresql": 24}  # of one rotation to its vendors
SAMPLE = {("service bus", 13), ("entra", 14)}
KILLS = [
    pytest.param(kind, number, marks=MARKS.get(kind, [] if (kind, number) in SAMPLE else [pytest.mark.long]))
    for kind in KINDS
    for number in range(1, CALLS[kind] + 1)
]


@pytest.fixture(scope="module")
def server(estate: World) -> Iterator[postgresql.Postgres]:
    """A real PostgreSQL with Azure's name in its certificate."""
    authority = CertificateAuthority(estate.stack.directory / "ca")
    running = postgresql.Postgres(authority.leaf("*.postgres.database.azure.com"))
    try:
        running.start()
        with running.superuser() as session:
            session.execute("CREATE ROLE appstore LOGIN CREATEROLE")
            session.execute("GRANT pg_signal_backend TO appstore")
        yield running
    finally:
        running.stop()


async def reach(server: postgresql.Postgres, secret: Secret, patch: pytest.MonkeyPatch) -> None:
    """Let the app find the server, and sign in with its token as the server's administrator."""
    patch.setenv("PGHOSTADDR", "127.0.0.1")
    patch.setenv("PGPORT", str(server.port))
    scope = "https://ossrdbms-aad.database.windows.net/.default"
    with server.superuser() as session:
        alter = sql.SQL("ALTER ROLE appstore PASSWORD {}")
        session.execute(alter.format(sql.Literal(await access_token(scope))))
    own = (await own_claims(scope))["oid"]
    known = {"properties": {"principalName": "appstore", "principalType": "ServicePrincipal", "tenantId": TENANT}}
    secret.world.azure(f"{secret.address}/administrators/{own}", POSTGRESQL, "PUT", known)


@pytest.fixture
async def secret(world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Secret:
    await leave_room()
    if request.param != "postgresql":
        return KINDS[request.param](world, await active(world))
    PostgresqlSecret.server = request.getfixturevalue("server")
    made = PostgresqlSecret(world, await active(world))
    await reach(PostgresqlSecret.server, made, monkeypatch)
    return made


@pytest.mark.parametrize("secret", OTHERS, indirect=True)
async def test_the_old_credential_works_through_the_overlap_and_not_after(secret: Secret) -> None:
    before, position = secret.current(), secret.world.position()
    during: list[str] = []
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters(version=secret.version()))
    done = await perform(asked, on_timer=lambda: during.append(secret.current()["value"]))
    assert done.state is OperationState.SUCCEEDED, done.problem
    after = secret.current()
    assert during == [after["value"]], "published before the overlap began"
    assert await secret.lets_in(after["value"], after["tags"])
    assert not await secret.lets_in(before["value"], before["tags"])
    assert after["tags"]["CredentialId"] != before["tags"]["CredentialId"]
    assert after["tags"]["AlternateCredentialId"] == before["tags"]["CredentialId"]
    assert secret.versions() == 2
    assert secret.changed(position) == (0 if isinstance(secret, PostgresqlSecret) else 2)
    again = await operate(secret.request, "rotate-secret", parameters=secret.parameters())
    assert "the last rotation is not over" in again.summary


@pytest.mark.parametrize("secret", OTHERS, indirect=True)
async def test_each_activity_twice_is_one_version(secret: Secret) -> None:
    before = secret.current()
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters())
    done = await perform(asked, twice=True)
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert secret.versions() == 2
    assert await secret.logs_in()
    assert not await secret.lets_in(before["value"], before["tags"])


@pytest.mark.parametrize("secret", OTHERS, indirect=True)
async def test_revoked_the_old_credential_is_worthless_at_once(secret: Secret) -> None:
    before = secret.current()
    parameters = secret.parameters(reason="the value was in a public repository")
    done = await operate(secret.request, "revoke-secret", parameters=parameters)
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert not await secret.lets_in(before["value"], before["tags"])
    assert await secret.logs_in()


@pytest.mark.parametrize("secret", OTHERS, indirect=True)
async def test_no_value_is_written_down(secret: Secret, caplog: pytest.LogCaptureFixture) -> None:
    position, values = secret.world.position(), {secret.current()["value"]}
    with caplog.at_level("DEBUG"):
        done = await operate(secret.request, "rotate-secret", parameters=secret.parameters())
    values.add(secret.current()["value"])
    kept = await operations.get(done.application, done.id)
    told = [kept.model_dump_json(), *(row.model_dump_json() for row in await rows(done)), caplog.text]
    told.append(json.dumps(secret.world.calls(position)))
    assert len(values) == 2
    assert not [found for text in told for found in holds(text, values)]


@pytest.mark.parametrize(("secret", "number"), KILLS, indirect=["secret"])
async def test_killed_after_any_call_nobody_is_locked_out(secret: Secret, number: int) -> None:
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters(version=secret.version()))
    before = secret.current()

    async def work() -> None:
        with killing(number) as killer, suppress(WorkerDiedError):
            await perform(asked)
        assert killer.calls == number, "the rotation ended before"
        assert await secret.logs_in()
        done = await perform(asked)
        assert done.state is OperationState.SUCCEEDED, done.problem

    tries, failures = await watched(secret, work)
    assert tries
    assert failures == 0
    assert secret.versions() == 2
    assert not await secret.lets_in(before["value"], before["tags"])


@asynccontextmanager
async def overtaken(changes: str) -> AsyncIterator[None]:
    """Two runs make the credential new at the same instant, and the first to publish is the last to be heard."""
    both, published, count = asyncio.Barrier(2), asyncio.Event(), Counter[str]()

    async def before(_number: int, request: httpx.Request) -> None:
        kind = "publish" if request.method == "PUT" and "/secrets/" in request.url.path else ""
        kind = "renew" if re.search(changes, str(request.url)) else kind
        count[kind] += 1
        if kind == "renew" and count[kind] <= 2:
            await asyncio.wait_for(both.wait(), 20)
        if kind == "publish" and count[kind] == 1:
            await asyncio.wait_for(published.wait(), 20)

    def after(_number: int, request: httpx.Request) -> None:
        if request.method == "PUT" and "/secrets/" in request.url.path:
            published.set()

    with wire.watched(before, after):
        yield
    assert count["renew"] >= 2
    assert count["publish"] >= 2


@pytest.mark.parametrize("strategy", ["dual", "single"])
@pytest.mark.parametrize("secret", ["storage", "service bus", "entra"], indirect=True)
async def test_two_runs_at_once_leave_a_published_credential_that_works(
    secret: Secret, strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "rotation.yaml"
    days = 7 if strategy == "dual" else 0
    rest = f"overlapDays: {days}, validityDays: 90, owner: t, reason: r"
    rules.write_text(f'rules: [{{secrets: "*", strategy: {strategy}, {rest}}}]')
    monkeypatch.setattr("shared.rotation_rules.FILE", rules)
    before = secret.current()
    asked = await ask(secret.request, "rotate-secret", environment="dev", parameters=secret.parameters())
    told: list[Any] = []

    def doubled(name: str) -> Any:
        async def work(payload: Any) -> Any:
            if name != "renew_credentials" or told:
                return await registered(name)(payload)
            async with overtaken(secret.changes[1].removesuffix("|removePassword")):
                told.extend(await asyncio.gather(*(registered(name)(payload) for _ in range(2))))
            assert await secret.logs_in(), "a run too many is never followed by another"
            return told[0]

        return work

    monkeypatch.setattr(day2, "registered", doubled)
    done = await perform(asked)
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert [result.get("busy") for result in told] == [None, None]
    current = secret.current()
    assert current["tags"]["rotation-id"] == asked.id
    assert await secret.logs_in()
    assert not await secret.lets_in(before["value"], before["tags"])


async def test_passwords_of_attempts_that_died_are_removed_and_those_of_others_stay(world: World) -> None:
    secret = AppSecret(world, await active(world))
    own = secret.add("the team's own")
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters())
    for mode in ("drop_after", "status_after"):
        world.fault(system="microsoft_graph", method="POST", path="addPassword", mode=mode, status=500, times=1)
    done = await perform(asked)
    assert done.state is OperationState.SUCCEEDED, done.problem
    left = {one["keyId"] for one in secret.passwords()}
    assert left == {secret.current()["tags"]["CredentialId"], own}


@pytest.mark.long
async def test_a_password_that_is_not_known_everywhere_yet_is_not_published(world: World) -> None:
    secret = AppSecret(world, await active(world))
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters())
    world.seed("entra", {"settings/password-seconds": 0.5})
    try:
        tries, failures = await watched(secret, lambda: perform(asked))
    finally:
        world.seed("entra", {"settings/password-seconds": 0})
    assert tries
    assert failures == 0
    assert secret.versions() == 2


@pytest.mark.parametrize("secret", [pytest.param("postgresql", marks=REAL)], indirect=True)
async def test_the_server_sees_verifiers_only_and_sessions_end_after_a_leak(secret: PostgresqlSecret) -> None:
    sessions = [psycopg.connect(**secret.login()) for _ in range(2)]
    done = await operate(secret.request, "rotate-secret", parameters=secret.parameters())
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert sessions[0].execute("SELECT 1").fetchone() == (1,), "who is in stays in"
    revoked = {"reason": "the value was in a public repository", **secret.parameters()}
    leaked = psycopg.connect(**secret.login())
    done = await operate(secret.request, "revoke-secret", parameters=revoked)
    assert done.state is OperationState.SUCCEEDED, done.problem
    for session in (*sessions, leaked):
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        session.close()
    log, passwords = secret.server.log(), {secret.login()["password"]}
    assert log.count("SCRAM-SHA-256$") >= 4
    assert not [password for password in passwords if password in log]
    with secret.server.superuser() as session:
        found = session.execute("SELECT rolpassword FROM pg_authid WHERE rolname = ANY(%s)", [list(secret.logins)])
        assert all(str(row[0]).startswith("SCRAM-SHA-256$") for row in found)
