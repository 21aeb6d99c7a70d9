"""Events of Azure Resource Manager: a write or a removal has succeeded.

https://learn.microsoft.com/azure/event-grid/event-schema-resource-groups
"""

from typing import Any
from uuid import uuid4

from aiohttp import web

from local.vendors.kernel import Kernel

from .topics import Topics, event_of

TELLS = {"PUT": "Write", "PATCH": "Write", "DELETE": "Delete"}
SCHEMA = "http://schemas.microsoft.com/identity/claims"
CLAIMS = {"oid": f"{SCHEMA}/objectidentifier", "tid": f"{SCHEMA}/tenantid", "appid": "appid"}
NOTHING_TO_REMOVE = 204


class ResourceEvents:
    """What Resource Manager's stand-in tells of the calls that it answered."""

    def __init__(self, kernel: Kernel, topics: Topics) -> None:
        self._kernel = kernel
        self._topics = topics

    def answered(self, request: web.Request, kind: str, response: web.StreamResponse) -> None:
        """A call for a resource of this type was answered; the event of what is not done yet comes when it is."""
        verb = TELLS.get(request.method)
        if not kind or verb is None or response.status >= 300 or response.status == NOTHING_TO_REMOVE:
            return
        parts, claims = request.path.split("/"), self._claims(request)
        data = {
            "tenantId": claims[CLAIMS["tid"]],
            "subscriptionId": parts[2],
            "resourceGroup": parts[4] if len(parts) > 4 else "",
            "resourceProvider": kind.partition("/")[0],
            "resourceUri": request.path,
            "operationName": f"{kind}/{verb.lower()}",
            "status": "Succeeded",
            "claims": claims,
            "correlationId": request.headers.get("x-ms-correlation-request-id") or str(uuid4()),
        }
        event = event_of(f"/subscriptions/{parts[2]}", request.path, f"Microsoft.Resources.Resource{verb}Success", data)
        self._topics.publish(event, due=self._done_at(response))

    def _claims(self, request: web.Request) -> dict[str, str]:
        token = request.headers.get("Authorization", "").partition(" ")[2]
        known: dict[str, Any] = self._kernel.vendor("entra").verify(token)
        return {name: str(known[short]) for short, name in CLAIMS.items() if short in known}

    def _done_at(self, response: web.StreamResponse) -> float:
        """When the operation that was begun ends; for one that is done at once: now."""
        place = response.headers.get("Azure-AsyncOperation", "").partition("?")[0]
        operation = self._kernel.vendor("arm").operation(place.rpartition("/")[2]) if place else None
        return float(operation["until"]) if operation else 0.0
