"""How a message ends: done, again, or put aside with a reason; never lost."""

import pytest

from app import consumer as loop
from app.consumer import Consumer
from app.memory_queue import MemoryQueue
from app.messages import Message, QueueUnavailableError

GOOD = b'{"order": "A-1", "quantity": 2}'


def test_message_is_done_when_its_work_is(queue: MemoryQueue, consumer: Consumer) -> None:
    queue.send("m1", GOOD)
    assert consumer.turn() == 1
    assert (queue.done, queue.dead) == (["m1"], [])
    assert consumer.turn() == 0


def test_duplicate_is_done_once(queue: MemoryQueue, consumer: Consumer) -> None:
    for _ in range(2):
        queue.send("m1", GOOD)
        consumer.turn()
    assert queue.done == ["m1"]


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"[]",
        b'{"order": "A-1"}',
        b'{"order": "", "quantity": 1}',
        b'{"order": "A-1", "quantity": 0}',
        b'{"order": "A-1", "quantity": true}',
        b'{"order": "A-1", "quantity": 1, "more": 1}',
    ],
)
def test_message_that_can_never_work_is_put_aside_at_once(queue: MemoryQueue, consumer: Consumer, body: bytes) -> None:
    queue.send("m1", body)
    consumer.turn()
    assert [(message.id, message.delivery, reason) for message, reason in queue.dead] == [("m1", 1, "InvalidMessage")]
    assert queue.done == []


def test_failing_message_comes_again_until_the_queue_gives_it_up(queue: MemoryQueue) -> None:
    seen: list[int] = []

    def fail(message: Message) -> None:
        seen.append(message.delivery)
        raise RuntimeError("database is away")

    consumer = Consumer(queue, fail)
    queue.send("m1", GOOD)
    while consumer.turn():
        pass
    assert seen == [1, 2, 3]
    assert [reason for _, reason in queue.dead] == ["MaxDeliveryCountExceeded"]


def test_failing_message_does_not_stop_the_next(queue: MemoryQueue, consumer: Consumer) -> None:
    queue.send("bad", b"{}")
    queue.send("good", GOOD)
    consumer.turn()
    consumer.turn()
    assert queue.done == ["good"]


def test_message_comes_again_when_the_instance_dies(queue: MemoryQueue, consumer: Consumer) -> None:
    queue.send("m1", GOOD)
    (taken,) = queue.receive(0)
    queue.close()  # the lock ends
    with pytest.raises(QueueUnavailableError):
        queue.complete(taken)
    consumer.turn()
    assert queue.done == ["m1"]


def test_queue_that_is_away_is_asked_again(queue: MemoryQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "FIRST_PAUSE_SECONDS", 0.001)
    queue.away = 3
    queue.send("m1", GOOD)
    consumer = Consumer(queue, lambda _: consumer.stop())
    consumer.run()
    assert queue.done == ["m1"]
    assert consumer.problem == ""


def test_stop_waits_for_the_message_in_hand(queue: MemoryQueue) -> None:
    queue.send("m1", GOOD)
    queue.send("m2", GOOD)
    consumer = Consumer(queue, lambda _: consumer.stop())
    consumer.run()
    assert queue.done == ["m1"]
    assert [message.id for message in queue.receive(0)] == ["m2"]
