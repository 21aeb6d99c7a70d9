"""The contract of the broker: Microsoft's own client library, against the queue as infra/servicebus.json says it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.service_bus.namespace import Namespace, commands, namespace


def _message(text: str, session: str | None = "a", **more: Any) -> ServiceBusMessage:
    return ServiceBusMessage(text, session_id=session, **more)


def _receiver(bus: Namespace, session: Any = NEXT_AVAILABLE_SESSION, **more: Any) -> ServiceBusReceiver:
    return bus.client.get_queue_receiver("commands", session_id=session, **more)


def _dead_letters(bus: Namespace) -> ServiceBusReceiver:
    return bus.client.get_queue_receiver("commands", sub_queue=ServiceBusSubQueue.DEAD_LETTER)


async def _open(receiver: ServiceBusReceiver) -> None:
    async with receiver:
        pass


async def _next(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    (got,) = await receiver.receive_messages(1, max_wait_time=5)
    return got


async def _sdk_a_message_arrives_with_all_that_its_sender_wrote() -> None:
    large = "x" * 150_000  # more than one frame
    facts = {"schema": 1, "share": 0.5, "urgent": True, "name": "ü"}
    sent = _message(large, "shop", message_id="m-1", subject="tags", correlation_id="c", application_properties=facts)
    async with namespace(commands()) as bus:
        await bus.send(sent)
        async with _receiver(bus) as receiver:
            got = await _next(receiver)
            assert (str(got), got.message_id, got.session_id, got.subject) == (large, "m-1", "shop", "tags")
            assert got.application_properties == {b"schema": 1, b"share": 0.5, b"urgent": True, b"name": "ü".encode()}
            assert (got.sequence_number, got.delivery_count, got.correlation_id) == (1, 0, "c")
            assert got.enqueued_time_utc is not None
            before = receiver.session.locked_until_utc
            await asyncio.sleep(0.01)
            renewed = await receiver.session.renew_lock()
            assert before
            assert renewed > before
            await receiver.complete_message(got)
            assert not await receiver.peek_messages()


async def _sdk_a_session_keeps_its_order_and_has_one_receiver() -> None:
    async with namespace(commands()) as bus:
        await bus.send(*(_message(f"{session}{n}", session) for n in range(3) for session in "ab"))
        async with _receiver(bus) as first:
            await first.abandon_message(await _next(first))  # it keeps its place
            seen = []
            for _ in range(3):
                got = await _next(first)
                seen.append((str(got), got.delivery_count))
                await first.complete_message(got)
            assert seen == [("a0", 1), ("a1", 0), ("a2", 0)]
            with pytest.raises(SessionCannotBeLockedError):
                await _open(_receiver(bus, "a"))
            async with _receiver(bus) as second:
                assert second.session.session_id == "b"


async def _sdk_nobody_waits_for_ever_for_a_session() -> None:
    async with namespace(commands()) as bus:
        with pytest.raises(OperationTimeoutError):
            await _open(_receiver(bus, max_wait_time=0.2))


async def _sdk_a_repeat_of_a_message_is_taken_and_dropped() -> None:
    async with namespace(commands()) as bus:
        async with bus.client.get_queue_sender("commands") as sender:
            await sender.send_messages([_message(f"t{n % 2}", message_id=f"m{n % 2}") for n in range(6)], timeout=5)
            await sender.send_messages(_message("again", message_id="m1"), timeout=5)
        async with _receiver(bus) as receiver:
            assert [message.message_id for message in await receiver.peek_messages(10)] == ["m0", "m1"]


async def _sdk_five_failures_make_a_dead_letter_and_the_session_goes_on() -> None:
    async with namespace(commands()) as bus:
        await bus.send(_message("poison", message_id="p"), _message("good", message_id="g"))
        async with _receiver(bus) as receiver:
            for count in range(5):
                got = await _next(receiver)
                assert (got.message_id, got.delivery_count) == ("p", count)
                await receiver.abandon_message(got)
            assert (await _next(receiver)).message_id == "g"
        async with _dead_letters(bus) as dead:
            (peeked,) = await dead.peek_messages(5)
            got = await _next(dead)
            assert (peeked.message_id, got.dead_letter_reason, got.session_id) == ("p", "MaxDeliveryCountExceeded", "a")
            assert await dead.renew_message_lock(got)
            await dead.complete_message(got)
            assert not await dead.peek_messages(5)


async def _sdk_a_receiver_can_say_why_a_message_is_dead() -> None:
    async with namespace(commands()) as bus:
        await bus.send(_message("x"))
        async with _receiver(bus) as receiver:
            got = await _next(receiver)
            await receiver.dead_letter_message(got, reason="Unreadable", error_description="no JSON")
        async with _dead_letters(bus) as dead:
            (got,) = await dead.peek_messages(5)
            assert (got.dead_letter_reason, got.dead_letter_error_description) == ("Unreadable", "no JSON")


async def _sdk_a_lock_ends_and_the_delivery_counts() -> None:
    async with namespace(commands(lock=2_000)) as bus:  # long enough to settle in on a busy machine
        await bus.send(_message("x"))
        async with _receiver(bus) as late:
            got = await _next(late)
            async with _receiver(bus) as second:  # waits until the lock of the first has ended
                again = await _next(second)
                await second.complete_message(again)
                assert (again.message_id, again.delivery_count) == (got.message_id, 1)
                with pytest.raises((SessionLockLostError, MessageLockLostError)):
                    await late.complete_message(got)


async def _sdk_what_is_too_old_is_a_dead_letter() -> None:
    async with namespace(commands(time_to_live=50)) as bus:
        await bus.send(_message("x"))
        await asyncio.sleep(0.2)
        async with _dead_letters(bus) as dead:
            assert [message.dead_letter_reason for message in await dead.peek_messages(5)] == ["TTLExpiredException"]


async def _sdk_what_the_queue_does_not_take_is_refused() -> None:
    async with namespace(commands()) as bus:
        with pytest.raises(ServiceBusError, match="SessionId was not set"):
            await bus.send(_message("x", None))
        with pytest.raises(MessagingEntityNotFoundError):
            await bus.send(_message("x"), queue="elsewhere")
        with pytest.raises(ServiceBusError, match="larger than"):
            await bus.send(_message("x" * 300_000))


async def _sdk_messages_and_seen_ids_outlive_the_broker(tmp_path: Path) -> None:
    for number in range(2):
        async with namespace(commands(), path=tmp_path / "bus.db") as bus:
            await bus.send(_message("x", message_id="m"))
            async with _receiver(bus) as receiver:
                got = await _next(receiver)
                assert (got.message_id, got.delivery_count) == ("m", 0)
                if number:
                    await receiver.complete_message(got)
                    assert not await receiver.peek_messages(5)


_SCENARIOS = {name: run for name, run in dict(globals()).items() if name.startswith("_sdk_")}


async def test_the_sdk_finds_everything_it_knows_of_service_bus(tmp_path: Path) -> None:
    """At the same time: the client opens and closes everything slowly, and only waits meanwhile."""
    names = sorted(_SCENARIOS)
    runs = [_SCENARIOS[name](**({"tmp_path": tmp_path} if name.endswith("broker") else {})) for name in names]
    found = await asyncio.gather(*runs, return_exceptions=True)
    failed = [error for error in found if isinstance(error, BaseException)]
    assert len(found) == 10
    if failed:
        raise BaseExceptionGroup("scenarios", failed)
