"""Secrets that end soon are rotated although no event came; one operation, whoever asks."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.models.operations import OperationState
from shared.models.records import ApplicationRecord
from shared.register import operations, requests
from tests.integration.day2 import active, group_of, operate, perform
from tests.integration.rotated_secrets import DAY, StorageSecret, holds
from tests.integration.test_events import OPERATOR
from tests.integration.world import DurableClient, World
from tests.recorder import recording
from triggers._event_intake import from_event_grid, take_in
from triggers._http import Call
from triggers.http_secrets import list_secrets
from triggers.timer_secrets import ask_for_rotation, next_run


def expire(secret: StorageSecret, seconds: float) -> None:
    """Let the current version end in so many seconds."""
    version = {"attributes": {"exp": int(time.time() + seconds)}}
    secret.call("PATCH", f"{secret.name}/{secret.version()}", version)


async def test_asked_five_times_and_by_the_event_it_is_one_rotation(world: World) -> None:
    secret = StorageSecret(world, await active(world))
    client: Any = DurableClient()
    now = datetime.now(UTC)
    position, version = world.position(), secret.version()
    for day in range(4):
        await ask_for_rotation(client, now + timedelta(days=day))
    event = {
        "id": "lost-and-found",
        "topic": f"{group_of(secret.request)}/providers/Microsoft.KeyVault/vaults/{secret.vault}",
        "subject": secret.name,
        "eventType": "Microsoft.KeyVault.SecretNearExpiry",
        "eventTime": now.isoformat(),
        "data": {"VaultName": secret.vault, "ObjectName": secret.name, "Version": version},
    }
    await take_in(client, from_event_grid(event))
    await ask_for_rotation(client, now)
    told = str(world.calls(position))
    assert not holds(told, set(secret.keys().values()))
    [asked] = await operations.of_application(secret.request.application)
    assert asked.parameters["version"] == version
    done = await perform(asked)
    assert done.state is OperationState.SUCCEEDED, done.problem
    await ask_for_rotation(client, datetime.now(UTC))
    assert len(await operations.of_application(secret.request.application)) == 1, "the new version does not end soon"
    assert secret.versions() == 2
    assert await secret.logs_in()


async def test_what_ends_later_or_has_no_tags_is_left_alone(world: World) -> None:
    secret = StorageSecret(world, await active(world))
    expire(secret, 31 * DAY)
    soon = {"attributes": {"exp": int(time.time()) + DAY}}
    for number in range(30):  # more than a page of Key Vault's
        secret.call("PUT", f"a-by-hand-{number:02}", {"value": "x", **soon})
    client: Any = DurableClient()
    await ask_for_rotation(client, datetime.now(UTC))
    assert not await operations.of_application(secret.request.application)
    expire(secret, 29 * DAY)
    await ask_for_rotation(client, datetime.now(UTC))
    assert len(await operations.of_application(secret.request.application)) == 1


async def test_the_inventory_tells_everything_but_the_value(world: World) -> None:
    secret = StorageSecret(world, await active(world))
    client: Any = DurableClient()
    call = Call(OPERATOR, {"name": secret.request.application}, {}, {}, client, b"", "/api")
    [before] = (await list_secrets(call)).document["secrets"]
    assert (before["environment"], before["vault"], before["name"]) == ("dev", secret.vault, secret.name)
    assert (before["daysLeft"], before["strategy"], before["lastRotation"]) == (0, "dual", None)
    assert before["owner"]
    assert before["reason"]
    assert before["nextRotation"] == next_run(datetime.now(UTC)).isoformat(), "it is due: the next timer asks"
    done = await operate(secret.request, "rotate-secret", parameters=secret.parameters())
    answer = await list_secrets(call)
    [after] = answer.document["secrets"]
    assert after["lastRotation"] == {"operation": done.id, "at": after["created"]}
    assert after["daysLeft"] in {59, 60}
    due = datetime.fromisoformat(after["nextRotation"])
    assert due == datetime.fromisoformat(after["expires"]) - timedelta(days=30)
    assert await _asked_at(secret, due - timedelta(seconds=1)) == [done.id], "the timer asks from that moment on"
    assert len(await _asked_at(secret, due)) > 1  # two versions of one second cannot be told apart: both are asked for
    assert not holds(str(answer.document), set(secret.keys().values()))


async def _asked_at(secret: StorageSecret, moment: datetime) -> list[str]:
    client: Any = DurableClient()
    await ask_for_rotation(client, moment)
    return [record.id for record in await operations.of_application(secret.request.application)]


@pytest.mark.parametrize("why", ["strategy", "disabled", "tags", "end"])
async def test_what_nobody_renews_has_no_next_rotation(
    world: World, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = StorageSecret(world, await active(world))
    if why == "strategy":
        rule = 'secrets: "*", strategy: none, overlapDays: 0, validityDays: 90, owner: t, reason: r'
        (tmp_path / "rotation.yaml").write_text(f"rules: [{{{rule}}}]")
        monkeypatch.setattr("shared.rotation_rules.FILE", tmp_path / "rotation.yaml")
    else:
        soon: dict[str, Any] = {"exp": int(time.time()) + DAY}
        ends = {"CredentialId": "key1", "ProviderAddress": secret.address}
        told: dict[str, Any] = {
            "disabled": {"attributes": {"enabled": False, **soon}},
            "tags": {"attributes": soon, "tags": {"ProviderAddress": secret.address}},
            "end": {"tags": ends},
        }
        secret.call("PUT", secret.name, {"value": "x", **told[why]})
    client: Any = DurableClient()
    call = Call(OPERATOR, {"name": secret.request.application}, {}, {}, client, b"", "/api")
    [seen] = (await list_secrets(call)).document["secrets"]
    assert seen["nextRotation"] is None
    assert await _asked_at(secret, datetime.now(UTC)) == []


async def test_how_many_end_soon_or_have_ended_is_measured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = StorageSecret(world, await active(world))
    client: Any = DurableClient()

    def counted() -> dict[str, int]:
        points = told.points("appstore.secrets.expiring")
        return {labels["appstore.expiry"]: p.value for labels, p in points if labels["appstore.environment"] == "dev"}

    every = requests.applications

    async def own() -> AsyncIterator[ApplicationRecord]:
        """Not those of other tests: their secrets end meanwhile, and their vaults may be gone."""
        async for application in every():
            if application.name == secret.request.application:
                yield application

    monkeypatch.setattr(requests, "applications", own)
    with recording(monkeypatch) as told:
        expire(secret, 31 * DAY)
        await ask_for_rotation(client, datetime.now(UTC))
        assert counted() == {"near": 0, "past": 0, "unknown": 0}
        secret.call("PUT", "by-hand-past", {"value": "x", "attributes": {"exp": int(time.time()) - DAY}})
        secret.call(
            "PUT", "by-hand-off", {"value": "x", "attributes": {"exp": int(time.time()) - DAY, "enabled": False}}
        )
        expire(secret, 29 * DAY)
        await ask_for_rotation(client, datetime.now(UTC))
        assert counted() == {"near": 1, "past": 1, "unknown": 0}
        expire(secret, 31 * DAY)
        await ask_for_rotation(client, datetime.now(UTC))
        assert counted() == {"near": 0, "past": 1, "unknown": 0}
        world.fault(system="key_vault", method="GET", path="/secrets", mode="status", status=403, times=1)
        await ask_for_rotation(client, datetime.now(UTC))
        assert counted() == {"near": 0, "past": 0, "unknown": 1}
    world.heal()


async def test_a_validity_that_a_rotation_does_not_outlive_renews_nothing(world: World) -> None:
    """Its event would come at once, find the rotation not over, and be answered for ever."""
    secret = StorageSecret(world, await active(world))
    tags = {"CredentialId": "key1", "ProviderAddress": secret.address, "ValidityPeriodDays": "37"}
    secret.call("PATCH", f"{secret.name}/{secret.version()}", {"tags": tags})
    refused = await operate(secret.request, "rotate-secret", parameters=secret.parameters())
    assert refused.state is not OperationState.SUCCEEDED
    assert "37 days, 38 are the least" in str(refused)
    assert secret.versions() == 1
    secret.call("PATCH", f"{secret.name}/{secret.version()}", {"tags": tags | {"ValidityPeriodDays": "38"}})
    done = await operate(secret.request, "rotate-secret", parameters=secret.parameters())
    assert done.state is OperationState.SUCCEEDED, done.problem
