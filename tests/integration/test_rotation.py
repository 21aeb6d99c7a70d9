"""A secret with two credentials is renewed: a consumer that logs in all the time never notices."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from shared.models.operations import ActionState, OperationRecord, OperationState
from shared.register import operations
from tests.integration.day2 import WorkerDiedError, active, ask, operate, perform, rows
from tests.integration.rotated_secrets import StorageSecret, leave_room, watched
from tests.integration.world import World

NAME = "storage-key"


@pytest.fixture
async def secret(world: World) -> StorageSecret:
    await leave_room()
    return StorageSecret(world, await active(world))


def regenerated(secret: StorageSecret, since: int) -> int:
    return secret.world.committed(since, "POST", "regenerateKey")


async def test_the_unused_key_is_published_and_the_old_one_dies_after_the_overlap(secret: StorageSecret) -> None:
    before, position = secret.keys(), secret.world.position()
    during: list[dict[str, str]] = []
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters(version=secret.version()))
    done = await perform(asked, on_timer=lambda: during.append(secret.keys()))
    assert done.state is OperationState.SUCCEEDED, done.problem
    after, current = secret.keys(), secret.current()
    assert during[0]["key1"] == before["key1"], "whoever has not read the vault yet still gets in"
    assert during[0]["key2"] == current["value"] == after["key2"] != before["key2"]
    assert after["key1"] != before["key1"]
    assert current["tags"]["CredentialId"] == "key2"
    days = (datetime.fromtimestamp(current["attributes"]["exp"], UTC) - datetime.now(UTC)) / timedelta(days=1)
    assert 59 < days <= 60, "as its own tag says"
    assert (secret.versions(), regenerated(secret, position)) == (2, 2)


async def test_events_that_come_five_times_late_or_out_of_order_renew_once(secret: StorageSecret) -> None:
    parameters, position = secret.parameters(version=secret.version()), secret.world.position()
    for _ in range(5):
        await perform(await ask(secret.request, "rotate-secret", parameters=parameters, business_key="event"))
    late = await operate(secret.request, "rotate-secret", parameters=parameters)
    assert late.state is OperationState.SUCCEEDED
    assert "not the current version" in late.summary
    without = await operate(secret.request, "rotate-secret", parameters=secret.parameters())
    assert "the last rotation is not over" in without.summary
    assert (secret.versions(), regenerated(secret, position)) == (2, 2)


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[pytest.mark.long] if number % 3 else []) for number in range(2, 10)]
)
async def test_killed_after_any_activity_nobody_is_locked_out(secret: StorageSecret, number: int) -> None:
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters(version=secret.version()))

    async def work() -> None:
        with suppress(WorkerDiedError):
            await perform(asked, dies_after=number)
        assert await secret.logs_in()
        done = await perform(asked)
        assert done.state is OperationState.SUCCEEDED, done.problem

    tries, failures = await watched(secret, work)
    assert tries
    assert failures == 0
    assert secret.versions() == 2


CALLS = [("arm", "POST", "listKeys"), ("arm", "POST", "regenerateKey"), ("key_vault", "PUT", f"/secrets/{NAME}")]
CALLS += [("key_vault", "GET", f"/secrets/{NAME}"), ("storage", "GET", "")]


@pytest.mark.parametrize(
    "how",
    ["status_after", *(pytest.param(how, marks=pytest.mark.long) for how in ("status", "drop_before", "drop_after"))],
)
@pytest.mark.parametrize(("system", "method", "path"), CALLS)
async def test_lost_and_failed_answers_heal(
    secret: StorageSecret, system: str, method: str, path: str, how: str
) -> None:
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters(version=secret.version()))
    secret.world.fault(system=system, method=method, path=path, mode=how, status=500, times=1)
    done = await perform(asked)
    secret.world.heal()
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert await secret.logs_in()
    assert secret.versions() == 2, "one version, whatever was lost"


async def test_a_vault_that_stays_away_is_told_and_the_next_run_heals(secret: StorageSecret) -> None:
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters(version=secret.version()))
    secret.world.fault(system="key_vault", method="PUT", path=NAME, mode="status", status=403, times=50)
    stopped = await perform(asked)
    secret.world.heal()
    assert stopped.state is OperationState.PARKED, stopped.state
    assert await secret.logs_in(), "the published credential was not touched"
    again = await operate(secret.request, "rotate-secret", parameters=secret.parameters(version=secret.version()))
    assert again.state is OperationState.SUCCEEDED, again.problem
    assert await secret.logs_in()


async def test_what_somebody_published_before_its_first_step_is_left_alone_and_nothing_is_left_to_do(
    secret: StorageSecret,
) -> None:
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters(version=secret.version()))
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=3)  # it is judged
    current = secret.current()
    secret.call("PUT", NAME, {"value": current["value"], "tags": current["tags"]})
    before, position = secret.keys(), secret.world.position()
    done = await perform(asked)
    assert (done.state, done.problem) == (OperationState.SUCCEEDED, None)
    assert {row.state for row in await rows(done)} == {ActionState.GONE}
    assert (regenerated(secret, position), secret.keys(), secret.versions()) == (0, before, 2)


async def test_revoked_no_old_credential_works(secret: StorageSecret) -> None:
    before = secret.keys()
    parameters = secret.parameters(reason="the key was in a public repository")
    done = await operate(secret.request, "revoke-secret", parameters=parameters)
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert not set(before.values()) & set(secret.keys().values())
    assert await secret.logs_in()


async def test_a_lock_keeps_every_key(secret: StorageSecret) -> None:
    lock = f"{secret.address}/providers/Microsoft.Authorization/locks/audit"
    secret.world.azure(lock, "2016-09-01", "PUT", {"properties": {"level": "CanNotDelete"}})
    position = secret.world.position()
    for operation, more in (("rotate-secret", {}), ("revoke-secret", {"reason": "it was in a log file"})):
        done = await operate(secret.request, operation, parameters=secret.parameters(**more))
        assert done.state is OperationState.REFUSED, done.state
        assert (await rows(done))[0].state is ActionState.REFUSED
        assert ActionState.DONE not in {row.state for row in await rows(done)}
    assert (regenerated(secret, position), secret.versions()) == (0, 1)


async def test_a_vault_or_account_of_somebody_else_stays(world: World, secret: StorageSecret) -> None:
    other = StorageSecret(world, await active(world))
    position = world.position()
    foreign = await operate(secret.request, "rotate-secret", parameters=other.parameters())
    assert foreign.state is OperationState.PARTIAL
    assert foreign.problem
    assert "no vault of" in foreign.problem.detail
    tags = {"CredentialId": "key1", "ProviderAddress": other.address}
    secret.call("PUT", NAME, {"value": "x", "tags": tags})
    lent = await operate(secret.request, "rotate-secret", parameters=secret.parameters())
    assert lent.state is OperationState.REFUSED, lent.state
    assert regenerated(secret, position) == 0


async def test_no_value_is_written_down(secret: StorageSecret, caplog: pytest.LogCaptureFixture) -> None:
    position, values = secret.world.position(), set(secret.keys().values())
    parameters = secret.parameters(reason="the key was in a public repository")
    with caplog.at_level("DEBUG"):
        done: OperationRecord = await operate(secret.request, "revoke-secret", parameters=parameters)
    values |= set(secret.keys().values())
    kept = await operations.get(done.application, done.id)
    told = [kept.model_dump_json(), *(row.model_dump_json() for row in await rows(done)), caplog.text]
    told.append(json.dumps(secret.world.calls(position)))
    assert not [value for value in values for text in told if value in text]
