"""Secrets that end soon are rotated although no event came; one operation, whoever asks."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.models.operations import OperationState
from shared.register import operations
from tests.integration.day2 import active, group_of, operate, perform
from tests.integration.rotated_secrets import DAY, StorageSecret, holds
from tests.integration.test_events import OPERATOR
from tests.integration.world import DurableClient, World
from triggers._event_intake import from_event_grid, take_in
from triggers._http import Call
from triggers.http_secrets import list_secrets
from triggers.timer_secrets import ask_for_rotation


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
    done = await operate(secret.request, "rotate-secret", parameters=secret.parameters())
    answer = await list_secrets(call)
    [after] = answer.document["secrets"]
    assert after["lastRotation"] == {"operation": done.id, "at": after["created"]}
    assert after["daysLeft"] in {59, 60}
    ahead = datetime.fromisoformat(after["expires"]) - datetime.fromisoformat(after["nextRotation"])
    assert ahead == timedelta(days=30)
    assert not holds(str(answer.document), set(secret.keys().values()))
