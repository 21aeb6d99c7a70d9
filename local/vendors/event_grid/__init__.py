"""Event Grid's system topics: what Key Vault and Resource Manager tell, pushed to whoever subscribed.

https://learn.microsoft.com/azure/event-grid/system-topics
"""

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .delivery import Delivery
from .resources import ResourceEvents
from .secrets import SecretEvents
from .topics import Topics


def build(kernel: Kernel) -> Vendor:
    """No host of its own: stand-ins publish, and what became of it is at `/_vendors/event_grid`."""
    topics = Topics(kernel.store("event_grid"))
    delivery = Delivery(topics)

    async def start() -> None:
        kernel.spawn(SecretEvents(kernel, topics).run(), "key vault events")
        kernel.spawn(delivery.run(), "event grid delivery")

    return Vendor(
        name="event_grid",
        hosts=(),
        routes=[],
        public=ResourceEvents(kernel, topics),
        start=start,
        pages=[web.get("/_vendors/event_grid", delivery.account)],
    )
