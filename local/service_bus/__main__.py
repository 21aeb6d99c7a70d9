"""`python -m local.service_bus --config infra/servicebus.json --data .local/service_bus.db --port 5672`."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from local.service_bus.queues import Broker
from local.service_bus.server import Server
from local.service_bus.topology import queues


async def _serve(options: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    if options.data:
        options.data.parent.mkdir(parents=True, exist_ok=True)
    server = Server(Broker(queues(options.config), options.data))
    port = await server.listen(options.port)
    if options.ready_file:
        draft = options.ready_file.with_name(options.ready_file.name + ".new")
        draft.write_text(str(port), encoding="utf-8")
        draft.rename(options.ready_file)
    await stopping.wait()
    await server.stop()


def main() -> None:
    """Run the broker until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m local.service_bus", description="Service Bus on this machine.")
    parser.add_argument("--config", type=Path, required=True, help="the emulator's Config.json")
    parser.add_argument("--data", type=Path, help="where messages are kept; in memory without it")
    parser.add_argument("--port", type=int, default=5672, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="gets the port when clients can connect")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
