"""A secret whose credential has no second one: outside dev a person decides, because consumers are locked out."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.models.operations import ActionState, EndOperation, OperationRecord, OperationState
from shared.models.runs import Run
from shared.register import operations
from tests.integration.day2 import WorkerDiedError, active, ask, perform, rows
from tests.integration.rotated_secrets import StorageSecret
from tests.integration.stages import Decides, Scene, decide, one_credential
from tests.integration.wire import watched
from tests.integration.world import World
from triggers.http_operations import cancel_operation, reject_operation

S = OperationState
PRODUCTION: dict[str, Any] = {"environments": ["dev", "qa", "prod"], "criticality": "low"}
PRODUCTION |= {"parameters": {"database": "none", "publicEndpoint": True}}


@pytest.fixture
def scene(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(world, monkeypatch, tmp_path)


async def rotation(scene: Scene, environment: str, *, single: bool = True) -> tuple[StorageSecret, OperationRecord]:
    """A rotation that was asked for."""
    if single:
        one_credential(scene)
    secret = StorageSecret(scene.world, await active(scene.world, **PRODUCTION), environment)
    given = secret.parameters(version=secret.version())
    return secret, await ask(secret.request, "rotate-secret", environment=environment, parameters=given)


async def waits(asked: OperationRecord) -> OperationRecord:
    """It waits, and the worker is gone."""

    def look() -> bool:
        raise WorkerDiedError

    with pytest.raises(WorkerDiedError):
        await perform(asked, on_wait=look)
    waiting = await operations.get(asked.application, asked.id)
    assert (waiting.state, {row.state for row in await rows(asked)}) == (S.AWAITING_APPROVAL, {ActionState.PLANNED})
    return waiting


async def untouched(secret: StorageSecret, before: dict[str, str]) -> None:
    assert (secret.versions(), secret.keys(), await secret.logs_in()) == (1, before, True)


async def replaced(secret: StorageSecret, before: dict[str, str], since: int) -> None:
    """The one credential is a new one, once; nobody touched what is beside it."""
    now = secret.keys()
    assert (secret.versions(), await secret.logs_in()) == (2, True)
    assert (now["key1"] != before["key1"], now["key2"] == before["key2"]) == (True, True)
    assert secret.changed(since) == 1


async def test_in_dev_it_is_replaced_at_once(scene: Scene) -> None:
    secret, asked = await rotation(scene, "dev")
    before, since = secret.keys(), scene.world.position()
    assert (await perform(asked)).state is S.SUCCEEDED
    await replaced(secret, before, since)


@pytest.mark.parametrize("environment", ["prod", pytest.param("qa", marks=pytest.mark.long)])
async def test_elsewhere_a_person_decides_and_until_then_nothing_is_sent(scene: Scene, environment: str) -> None:
    secret, asked = await rotation(scene, environment)
    before, since = secret.keys(), scene.world.position()
    with watched() as wire:
        await waits(asked)
        await waits(asked)  # another worker takes it over
    assert wire.sent == []
    [row] = await rows(asked)
    assert "locked out" in row.action.summary, "whoever decides is told"
    await untouched(secret, before)
    await decide(asked)
    assert (await perform(asked, twice=True)).state is S.SUCCEEDED
    assert (await perform(asked)).state is S.SUCCEEDED
    await replaced(secret, before, since)


async def test_with_two_credentials_nobody_has_to_decide_in_prod(scene: Scene) -> None:
    secret, asked = await rotation(scene, "prod", single=False)
    assert (await perform(asked)).state is S.SUCCEEDED
    assert (secret.versions(), await secret.logs_in()) == (2, True)


@pytest.mark.parametrize(("how", "state"), [(cancel_operation, S.CANCELLED), (reject_operation, S.REJECTED)])
async def test_cancelled_or_rejected_it_stays_and_a_late_approval_is_refused(
    scene: Scene, how: Decides, state: OperationState
) -> None:
    secret, asked = await rotation(scene, "prod")
    before = secret.keys()
    shown = await waits(asked)
    await decide(asked, how)
    await decide(asked)  # too late: refused
    for _ in range(2):
        assert (await perform(asked)).state is state
    after = await operations.get(asked.application, asked.id)
    assert (after.approvals, after.approved_digest, after.digest) == ([], None, shown.digest)
    await untouched(secret, before)


async def test_when_nobody_decides_it_expires_once_and_a_late_approval_is_refused(scene: Scene) -> None:
    secret, asked = await rotation(scene, "prod")
    before = secret.keys()
    done = await perform(asked)
    assert done.state is S.EXPIRED
    assert done.problem
    assert done.problem.code == "expired"
    await decide(asked)
    assert (await perform(asked)).state is S.EXPIRED
    await untouched(secret, before)


async def test_decided_by_several_at_the_same_instant_what_is_done_is_what_was_decided(scene: Scene) -> None:
    secret, asked = await rotation(scene, "prod")
    before, since = secret.keys(), scene.world.position()
    await waits(asked)
    await asyncio.gather(decide(asked), decide(asked, cancel_operation), decide(asked, reject_operation))
    done = await perform(asked)
    assert done.state in {S.SUCCEEDED, S.CANCELLED, S.REJECTED}
    if done.state is S.SUCCEEDED:
        await replaced(secret, before, since)
    else:
        await untouched(secret, before)


async def test_what_was_approved_just_before_its_end_was_written_does_not_expire(scene: Scene) -> None:
    secret, asked = await rotation(scene, "prod")
    before, since = secret.keys(), scene.world.position()
    await waits(asked)
    await decide(asked)
    run = Run(request_id=asked.id, application=asked.application, branch="operation")
    ended = await scene.world.value("end_operation", EndOperation(run=run, state=S.EXPIRED))
    assert ended["state"] == S.ACTING
    assert (await perform(asked)).state is S.SUCCEEDED
    await replaced(secret, before, since)


@pytest.mark.parametrize("number", [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, 8))])
async def test_approved_when_its_time_is_up_it_is_one_of_the_two(scene: Scene, number: int) -> None:
    secret, asked = await rotation(scene, "prod")
    before, since = secret.keys(), scene.world.position()
    await waits(asked)

    async def approved() -> None:
        await asyncio.sleep(number * 0.004)
        await decide(asked)

    await asyncio.gather(perform(asked), approved())
    done = await perform(asked)
    if done.state is S.SUCCEEDED:
        await replaced(secret, before, since)
    else:
        assert (done.state, done.approvals) == (S.EXPIRED, [])
        await untouched(secret, before)


async def test_what_somebody_renewed_while_it_waited_is_left_alone(scene: Scene) -> None:
    secret, asked = await rotation(scene, "prod")
    await waits(asked)
    secret.publish(secret.keys()["key1"], "key1")  # by hand
    before = secret.keys()
    await decide(asked)
    done = await perform(asked)
    assert (done.state, done.counts.done, done.counts.gone) == (S.SUCCEEDED, 0, 1)
    assert (secret.versions(), secret.keys()) == (2, before)
