"""Every provider's credentials: one turn, one at a time, and consumers that never notice."""

import json
from contextlib import suppress

import pytest

from shared.models.operations import OperationState
from shared.register import operations
from tests.integration.day2 import WorkerDiedError, active, ask, operate, perform, rows
from tests.integration.rotated_secrets import (
    AppSecret,
    Secret,
    ServiceBusSecret,
    StorageSecret,
    holds,
    killing,
    watched,
)
from tests.integration.world import World

KINDS: dict[str, type[Secret]] = {"storage": StorageSecret, "service bus": ServiceBusSecret, "entra": AppSecret}
OTHERS = [name for name in KINDS if name != "storage"]  # tests/integration/test_rotation.py has the rest of storage
SAMPLE = {("service bus", 9), ("service bus", 13), ("entra", 9), ("entra", 14)}
CALLS = 36  # more than a rotation makes; what comes after its last call is told by the test itself


@pytest.fixture
async def secret(world: World, request: pytest.FixtureRequest) -> Secret:
    return KINDS[request.param](world, await active(world))


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
    assert (secret.versions(), secret.changed(position)) == (2, 2)
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


@pytest.mark.parametrize(
    ("secret", "number"),
    [
        pytest.param(kind, number, marks=[] if (kind, number) in SAMPLE else [pytest.mark.long])
        for kind in KINDS
        for number in range(1, CALLS)
    ],
    indirect=["secret"],
)
async def test_killed_after_any_call_nobody_is_locked_out(secret: Secret, number: int) -> None:
    asked = await ask(secret.request, "rotate-secret", parameters=secret.parameters(version=secret.version()))
    before = secret.current()

    async def work() -> None:
        with killing(number) as killer, suppress(WorkerDiedError):
            await perform(asked)
        assert (killer.calls == number) or number > 20, "the rotation has fewer calls than a rotation needs"
        assert await secret.logs_in()
        done = await perform(asked)
        assert done.state is OperationState.SUCCEEDED, done.problem

    tries, failures = await watched(secret, work)
    assert tries
    assert failures == 0
    assert secret.versions() == 2
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
