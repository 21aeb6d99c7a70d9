from aiohttp import web

from local.host.durable.api import DurableApi
from local.host.durable.engine import Engine
from local.host.extensions import Extension, Services


class Durable(Extension):
    """Orchestration and activity triggers and the durable client binding."""

    name = "durabletask"
    bindings = frozenset({"orchestrationTrigger", "activityTrigger", "durableClient"})

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.engine = Engine(services)
        self.api = DurableApi(self.engine, services.links)

    async def webhook(self, request: web.Request, path: str) -> web.StreamResponse:
        return await self.api.handle(request, path)
