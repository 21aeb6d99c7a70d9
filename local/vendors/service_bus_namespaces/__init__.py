"""Service Bus over HTTP: who may look at a namespace, a queue or a topic.

https://learn.microsoft.com/rest/api/servicebus/get-entity
"""

from xml.sax.saxutils import escape

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor
from local.vendors.kernel.vendor import host_of

from .keys import RULES, keys_of, refusal

type Policy = tuple[str, str, dict[str, str], list[str]]  # entity ("": the namespace), name, keys, rights


class Namespaces:
    """The one look at an entity; messages go over AMQP, to the broker of the local run."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def look(self, request: web.Request) -> web.Response:
        host, name = host_of(request), request.match_info["entity"].lower()
        policies = self._policies(host.partition(".")[0])
        entity = "" if name == "$namespaceinfo" else name
        rules = [(rule, keys) for where, rule, keys, _ in policies if where in {"", entity}]
        token = request.headers.get("Authorization", "")
        place = f"https://{host}/{entity}".rstrip("/")
        if why := refusal(token, place, rules):
            return _error(401, why)
        used = next(rule for rule, _ in rules if f"skn={rule}" in token)
        rights = {right for where, rule, _, given in policies if rule == used for right in given}
        if "Manage" not in rights:
            return _error(401, "Manage,EntityRead claims required for this operation.")
        return web.Response(text=f"<entry><title>{escape(entity or host)}</title></entry>", content_type="text/xml")

    def _policies(self, namespace: str) -> list[Policy]:
        arm, store = self._kernel.vendor("arm"), self._kernel.store("arm")
        parts = [(item, item["id"].lower().split("/")) for kind in RULES for item in arm.resources(kind=kind)]
        return [
            (part[10] if len(part) > 11 else "", item["name"], keys_of(store, item["id"]), item["properties"]["rights"])
            for item, part in parts
            if part[8] == namespace.lower()
        ]


def build(kernel: Kernel) -> Vendor:
    """Every namespace that Resource Manager made."""
    namespaces = Namespaces(kernel)
    routes = [web.get("/{entity}", namespaces.look)]
    return Vendor(name="service_bus_namespaces", hosts=("*.servicebus.windows.net",), routes=routes)


def _error(status: int, detail: str) -> web.Response:
    text = f"<Error><Code>{status}</Code><Detail>{escape(detail)}</Detail></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")
