"""Event Grid: what Key Vault and Resource Manager tell, pushed to whoever subscribed, and custom topics.

https://learn.microsoft.com/azure/event-grid/system-topics
"""

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .custom_topics import HOSTS, CustomTopics
from .delivery import Delivery
from .resources import ResourceEvents
from .secrets import SecretEvents
from .topics import Topics


def build(kernel: Kernel) -> Vendor:
    """Stand-ins publish, and what became of it is at `/_vendors/event_grid`; the hosts are those of custom topics."""
    topics = Topics(kernel.store("event_grid"))
    delivery = Delivery(topics)

    async def start() -> None:
        kernel.spawn(SecretEvents(kernel, topics).run(), "key vault events")
        kernel.spawn(delivery.run(), "event grid delivery")

    return Vendor(
        name="event_grid",
        hosts=HOSTS,
        routes=[web.post("/api/events", CustomTopics(kernel).publish)],
        public=ResourceEvents(kernel, topics),
        start=start,
        pages=[web.get("/_vendors/event_grid", delivery.account)],
    )
