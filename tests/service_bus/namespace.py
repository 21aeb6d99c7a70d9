import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local.service_bus.queues import Broker
from local.service_bus.server import Server
from local.service_bus.topology import QueueOptions, queues

ROOT = Path(__file__).parents[2]


class Namespace:
    """A broker in this process, and the real client of it."""

    def __init__(self, server: Server, port: int) -> None:
        self.server, self.port = server, port
        self.client = ServiceBusClient.from_connection_string(connection_string(port), retry_total=1)

    async def send(self, *sent: ServiceBusMessage, queue: str = "commands") -> None:
        async with self.client.get_queue_sender(queue) as sender:
            for message in sent:
                await sender.send_messages(message, timeout=5)


def connection_string(port: int) -> str:
    return (
        f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=RootManageSharedAccessKey;"
        "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
    )


@contextlib.asynccontextmanager
async def namespace(*options: QueueOptions, path: Path | None = None) -> AsyncIterator[Namespace]:
    server = Server(Broker(options, path))
    port = await server.listen(0)
    found = Namespace(server, port)
    try:
        async with found.client:
            yield found
    finally:
        await server.stop()


def commands(**changes: Any) -> QueueOptions:
    """The product's own queue as infra/servicebus.json says it, with changes that let a test be short."""
    (found,) = queues(ROOT / "infra" / "servicebus.json")
    return replace(found, **changes)
