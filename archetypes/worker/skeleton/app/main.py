"""The worker: `python -m app.main 8080`; the number is the port of its health."""

import logging
import signal
import sys
import threading

from app.consumer import Consumer
from app.health import server
from app.memory_queue import MemoryQueue
from app.messages import Queue
from app.orders import handle
from app.service_bus import ServiceBusQueue
from app.settings import Settings


def queue_for(settings: Settings) -> Queue:
    """Choose the queue: Service Bus where the environment names one, memory on a laptop."""
    return ServiceBusQueue(settings.service_bus_host, settings.queue) if settings.service_bus_host else MemoryQueue()


def main(port: int) -> None:
    """Work until SIGTERM: Kubernetes sends it, and waits for the message in hand."""
    settings = Settings.from_environment()
    logging.basicConfig(level=settings.log_level)
    logging.getLogger("azure").setLevel(logging.WARNING)
    consumer = Consumer(queue_for(settings), handle)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: consumer.stop())
    probes = server(settings, consumer, port)
    threading.Thread(target=probes.serve_forever, daemon=True).start()
    try:
        consumer.run()
    finally:
        probes.shutdown()
        probes.server_close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
