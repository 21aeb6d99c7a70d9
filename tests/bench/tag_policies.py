"""One contender over an estate, in a process of its own: how long, how much memory, how many tags are lacking."""

import argparse
import asyncio
import http.client
import json
import os
import ssl
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self
from urllib.parse import urlsplit

from tests.bench.processes import peak_memory
from tests.bench.resource_pages import GROUP, RIGHT, TAGS


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock and of the processor, and most memory so far in MB: at an instant, or between two."""

    seconds: float
    cpu: float
    memory: float
    before: float = 0.0

    @classmethod
    def begin(cls) -> Self:
        return cls(time.perf_counter(), time.process_time(), peak_memory(os.getpid()))

    def end(self) -> Self:
        now = self.begin()
        return type(self)(now.seconds - self.seconds, now.cpu - self.cpu, now.memory, self.memory)


def ours(required: Mapping[str, str]) -> tuple[int, Spent]:
    """The product's way: its client, its budget, its rules for tags."""
    from activities.tags import judge_group  # noqa: PLC0415 - the floor has nothing of the product
    from shared.clients.resources import read_tags  # noqa: PLC0415
    from tests.bench.connections import closed  # noqa: PLC0415

    async def main() -> tuple[int, Spent]:
        await read_tags(GROUP)  # a running app has its connections, and the SDKs that it needs
        watch = Spent.begin()
        judged = await judge_group(GROUP, required)
        spent = watch.end()
        return sum(len(one.lacks) for one in judged.lacking), spent

    return asyncio.run(closed(main()))


def floor(required: Mapping[str, str]) -> tuple[int, Spent]:
    """What a script does that knows exactly this question: pages by the standard library, one test for each tag."""
    proxy = urlsplit(os.environ["HTTPS_PROXY"])
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    connection = http.client.HTTPSConnection(proxy.hostname or "", proxy.port, context=context)
    connection.set_tunnel("management.azure.com", 443)
    watch, found, path = Spent.begin(), 0, f"{GROUP}/resources?api-version=2025-04-01"
    while path:
        connection.request("GET", path)
        page = json.loads(connection.getresponse().read())
        for item in page["value"]:
            tags = item["tags"]
            found += sum(tags.get(name) != value for name, value in required.items())
        path = page.get("nextLink", "").removeprefix("https://management.azure.com")
    connection.close()
    return found, watch.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=["ours", "floor"])
    parser.add_argument("policies", type=int)
    told = parser.parse_args()
    required = dict.fromkeys(TAGS[: told.policies], RIGHT)
    contender = {"ours": ours, "floor": floor}[told.contender]
    found, spent = contender(required)
    figures = {**asdict(spent), "found": found}
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
