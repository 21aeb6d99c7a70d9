"""Service Bus triggers on a real host, over the broker and Microsoft's own client."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue

from tests.service_bus.namespace import Namespace, commands, connection_string, namespace

TEXTS = {"a": ["one", "once", "poison", "two"], "b": ["slow", "three"]}


def _message(session: str, text: str) -> ServiceBusMessage:
    return ServiceBusMessage(
        text, session_id=session, message_id=f"{session}-{text}", subject="tags", application_properties={"schema": 1}
    )


async def _dead(bus: Namespace) -> list[str | None]:
    async with bus.client.get_queue_receiver("commands", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
        return [message.message_id for message in await receiver.peek_messages(10)]


async def test_messages_are_called_in_order_failures_repeated_and_the_poisonous_put_aside(
    new_host: Callable[..., Any], eventually_async: Callable[..., Any], tmp_path: Path
) -> None:
    async with namespace(commands(lock=1000)) as bus:
        new_host("commands", SERVICEBUS=connection_string(bus.port)).start()
        await bus.send(*(_message(session, text) for session, texts in TEXTS.items() for text in texts))
        seen: list[dict[str, Any]] = []

        def done() -> bool:
            seen[:] = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
            return {"two", "three"} <= {call["text"] for call in seen}

        await eventually_async(lambda: (tmp_path / "seen").exists() and done())
        called = [call["text"] for call in seen if call["session"] == "a"]
        assert called == ["one", "once", "once", *["poison"] * 5, "two"]
        assert [call["deliveries"] for call in seen if call["text"] == "poison"] == [1, 2, 3, 4, 5]
        # Longer than its lock, and called once: the host renewed it.
        assert Counter(call["text"] for call in seen if call["session"] == "b") == {"slow": 1, "three": 1}
        assert seen[0]["properties"] == {"schema": 1}
        assert (seen[0]["subject"], seen[0]["lockedUntil"]) == ("tags", None)
        assert await _dead(bus) == ["a-poison"]
        async with asyncio.timeout(10):
            while bus.server.broker.peek("commands", 0, 1, None):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
