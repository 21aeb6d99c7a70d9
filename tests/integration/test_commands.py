"""Commands: taken once, rejected with a reason, replayed with a new name."""

import json
from typing import Any

import pytest
from azure.functions.servicebus import ServiceBusMessage as Received
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from shared.clients import service_bus
from shared.clients.service_bus import ServiceBusSettings
from shared.errors import RequestRejectedError, TransientIntegrationError
from shared.identity import Caller
from shared.models.records import RequestRecord
from shared.register import audit, commands, operations
from tests.integration.day2 import active
from tests.integration.world import DurableClient, World, caller
from triggers import service_bus_commands
from triggers._http import Call
from triggers.http_command_dead_letters import discard_command, replay_command
from triggers.service_bus_commands import take_command

OPERATOR = caller("operator", "Operator")


class _DiedError(BaseException):
    """The process ended here."""


def _received(body: object, message_id: str, session: str, **properties: object) -> Received:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    facts: dict[str, Any] = {"message_id": message_id, "session_id": session}
    return Received(body=raw, application_properties=properties, user_properties=properties, **facts)


def _command(application: RequestRecord, **fields: object) -> dict[str, object]:
    return {"operation": "reconcile-tags", "application": application.application, "dryRun": True, **fields}


@pytest.fixture
async def application(world: World) -> RequestRecord:
    return await active(world)


async def test_a_command_that_comes_five_times_and_is_replayed_is_one_operation(application: RequestRecord) -> None:
    name = application.application
    for _ in range(5):
        await take_command(_received(_command(application, requestedBy="Rae"), "c-1", name), DurableClient())
    replay = _received(_command(application, requestedBy="Rae"), "c-1#r1", name, **{"original-id": "c-1"})
    await take_command(replay, DurableClient())
    (record,) = await operations.of_application(name)
    assert (record.occasion, record.requester, record.dry_run) == ("command", "service-bus", True)
    assert record.requester_name == "Rae (says the sender)"


@pytest.mark.parametrize(
    ("body", "session", "words"),
    [
        (b"{", "", "Invalid JSON"),
        ({"operation": "reconcile-tags", "application": "no-such-app"}, "no-such-app", "no application no-such-app"),
        ({"operation": "reconcile-tags", "application": "some-app"}, "other", "session must be the application"),
        ({"operation": "reconcile-tags", "application": "some-app", "dryRun": 1}, "some-app", "/dryRun"),
        ({"operation": "reconcile-tags", "application": "some-app", "role": "Admin"}, "some-app", "/role"),
        ({"operation": "abolish", "application": "some-app"}, "some-app", "no operation abolish"),
    ],
)
async def test_what_no_repeat_can_mend_is_rejected_once_with_the_reason(
    world: World, body: object, session: str, words: str
) -> None:
    assert world.position() >= 0
    name = f"bad-{words}"
    for _ in range(2):
        await take_command(_received(body, name, session), DurableClient())
    found = [record for record in await commands.rejected(100) if record.id == name]
    assert [words in record.detail for record in found] == [True]
    trail = await audit.of_application(commands.PARTITION)
    assert [entry.action for entry in trail if entry.request_id == name] == ["reject-command"]


async def test_what_a_repeat_may_mend_goes_back_to_the_queue(
    world: World, application: RequestRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_bus_commands, "PAUSES", ())
    message = _received(_command(application), "c-2", application.application)
    world.fault(system="storage", mode="status", status=503, times=None)
    try:
        with pytest.raises(TransientIntegrationError):
            await take_command(message, DurableClient())
    finally:
        world.heal()
    await take_command(message, DurableClient())
    assert len(await operations.of_application(application.application)) == 1


async def _bury(client: ServiceBusClient, session: str, **letters: dict[Any, Any]) -> dict[str, int]:
    """Send messages and make dead letters of them; their numbers."""
    numbers = {}
    async with client.get_queue_sender("commands") as sender:
        for name, properties in letters.items():
            message = ServiceBusMessage(b"{}", message_id=name, session_id=session, application_properties=properties)
            await sender.send_messages(message, timeout=5)
    async with client.get_queue_receiver("commands", session_id=session) as receiver:
        for name in letters:
            (got,) = await receiver.receive_messages(1, max_wait_time=5)
            numbers[name] = got.sequence_number or 0
            await receiver.dead_letter_message(got, reason="Broken", error_description="no luck")
    return numbers


@pytest.mark.usefixtures("world")
@pytest.mark.long
async def test_a_dead_letter_is_replayed_under_a_new_name_and_never_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ServiceBusSettings()
    async with ServiceBusClient.from_connection_string(settings.servicebus) as client:
        worn = {"original-id": "old", "replay-count": 3}
        numbers = await _bury(client, "app-a", dead0={}, dead1={}, worn=worn)
        letters = {letter.id: letter for letter in await service_bus.dead_letters()}
        assert (letters["dead1"].reason, letters["dead1"].detail) == ("Broken", "no luck")
        assert letters["dead1"].sequence == numbers["dead1"]

        async def die(*_: object) -> None:
            raise _DiedError

        with monkeypatch.context() as patch:  # between sending and taking away
            patch.setattr(service_bus, "_remove", die)
            with pytest.raises(_DiedError):
                await service_bus.replay(numbers["dead1"])
        assert await service_bus.replay(numbers["dead1"]) == "dead1#r1"
        async with client.get_queue_receiver("commands", session_id="app-a") as receiver:
            assert [message.message_id for message in await receiver.peek_messages(10)] == ["dead1#r1"]
        with pytest.raises(RequestRejectedError, match="no dead letter"):
            await service_bus.replay(numbers["dead1"])
        with pytest.raises(RequestRejectedError, match="replayed 3 times"):
            await service_bus.replay(numbers["worn"])
        await service_bus.discard(numbers["dead0"])
        assert [letter.id for letter in await service_bus.dead_letters()] == ["worn"]


@pytest.mark.usefixtures("world")
async def test_what_a_person_decided_about_a_dead_letter_is_done_once_and_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with ServiceBusClient.from_connection_string(ServiceBusSettings().servicebus) as client:
        numbers = await _bury(client, "app-d", again={}, away={})

        async def die(*_: object) -> None:
            raise _DiedError

        for name in ("replay", "discard"):  # after the decision, before anything is done
            letter, handle = {"replay": ("again", replay_command), "discard": ("away", discard_command)}[name]
            with monkeypatch.context() as patch:
                patch.setattr(service_bus, name, die)
                with pytest.raises(_DiedError):
                    await handle(_decision(numbers[letter]))
        for _ in range(2):
            answer = await replay_command(_decision(numbers["again"]))
            assert (answer.status, answer.document) == (202, {"id": "again#r1"})
            assert (await discard_command(_decision(numbers["away"]))).status == 204
        for handle, letter in ((replay_command, "away"), (discard_command, "again")):
            with pytest.raises(RequestRejectedError) as refused:
                await handle(_decision(numbers[letter]))
            assert refused.value.code == "decided-otherwise"
        with pytest.raises(RequestRejectedError) as forbidden:
            await replay_command(_decision(numbers["again"], caller("somebody", "Requester")))
        assert forbidden.value.status == 403
        async with client.get_queue_receiver("commands", session_id="app-d") as receiver:
            assert [message.message_id for message in await receiver.peek_messages(10)] == ["again#r1"]
    left = {letter.sequence for letter in await service_bus.dead_letters()}
    assert not left & set(numbers.values())
    trail = await audit.of_application(commands.PARTITION)
    told = [entry.action for entry in trail if entry.request_id in {f"dead-letter:{n}" for n in numbers.values()}]
    assert sorted(told) == ["discard-command", "replay-command"]


def _decision(sequence: int, who: Caller = OPERATOR) -> Call:
    client: Any = DurableClient()
    return Call(who, {"sequence": str(sequence)}, {}, {}, client, b"", "/api/commands/dead-letters")
