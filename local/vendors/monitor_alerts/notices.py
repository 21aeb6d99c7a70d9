"""Action groups: alerts go to their webhooks, with a token of Entra ID where the receiver says so.

https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups#webhook
"""

import asyncio
import time
from collections import deque
from typing import Any
from uuid import uuid4

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from local.vendors.entra.directory import Principal, object_id
from local.vendors.kernel import Kernel

from .alerts import Resource

PAUSE_SECONDS = 0.5
ANSWER_SECONDS = 10
REMEMBERED = 500
# Azure waits 5, 20, 5, 40 and 5 s, and tries again after these answers only; here a tenth.
DISTANCES = (0.5, 2.0, 0.5, 4.0, 0.5)
AGAIN = frozenset({None, 408, 429, 503, 504})
SENDER = "461e8683-5575-4561-ac7f-899cc907d62a"  # the application AzNS AAD Webhook, the same in every tenant
ROLE = "ActionGroupsSecureWebhook"


class Notices:
    """What is kept until it was sent; what was sent is remembered in memory."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._store = kernel.store("monitor_alerts")
        self._log: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    def tell(self, rule: Resource, document: dict[str, Any]) -> None:
        """Keep an alert for every webhook of the rule's action groups."""
        for action in rule["properties"].get("actions") or []:
            group = self._kernel.vendor("arm").resource(action["actionGroupId"])
            enabled = group is not None and group["properties"].get("enabled", True)
            for receiver in (group["properties"].get("webhookReceivers") or []) if group and enabled else []:
                notice = {"receiver": receiver, "document": document, "attempts": 0, "due": 0.0}
                self._store.put(f"notice/{time.time_ns():020}{uuid4().hex}", notice)

    async def run(self) -> None:
        """Send until the stand-ins end."""
        async with ClientSession(trust_env=False, timeout=ClientTimeout(total=ANSWER_SECONDS)) as session:
            while True:
                due = [(key, one) for key, one in self._store.list("notice/") if one["due"] <= time.time()]
                await asyncio.gather(*(self._send(session, key, one) for key, one in due))
                await asyncio.sleep(PAUSE_SECONDS)

    async def account(self, _: web.Request) -> web.Response:
        """Alerts that go on, what was sent and what waits."""
        alerts = [{"rule": key.removeprefix("alert/"), **alert} for key, alert in self._store.list("alert/")]
        waiting = [notice for _, notice in self._store.list("notice/")]
        return web.json_response({"alerts": alerts, "sent": list(self._log), "waiting": waiting})

    async def _send(self, session: ClientSession, key: str, notice: dict[str, Any]) -> None:
        receiver, attempts = notice["receiver"], notice["attempts"]
        status = await self._post(session, receiver, notice["document"])
        told = {"receiver": receiver["name"], "to": receiver["serviceUri"], "status": status}
        self._log.append(told | {"document": notice["document"]})
        if status in AGAIN and attempts < len(DISTANCES):
            self._store.put(key, notice | {"attempts": attempts + 1, "due": time.time() + DISTANCES[attempts]})
        else:
            self._store.delete(key)

    async def _post(self, session: ClientSession, receiver: Resource, document: dict[str, Any]) -> int | None:
        """The status; none when nobody answered, as of any host that is not on this machine."""
        address = self._address(receiver["serviceUri"])
        if address is None:
            return None
        headers = {"Authorization": f"Bearer {self._token(receiver)}"} if receiver.get("useAadAuth") else {}
        try:
            async with session.post(address, json=document, headers=headers) as answer:
                return answer.status
        except (ClientError, TimeoutError):
            return None

    def _address(self, url: str) -> str | None:
        """Where this is on this machine, by the document `settings/addresses`."""
        known: dict[str, str] = self._store.get("settings/addresses") or {}
        hit = next((name for name in known if url.startswith(f"{name}/")), None)
        return known[hit] + url.removeprefix(hit) if hit else None

    def _token(self, receiver: Resource) -> str:
        sender = Principal("azns", object_id("azns"), roles=(ROLE,), client_id=SENDER)
        token: str = self._kernel.vendor("entra").token(sender, receiver["identifierUri"], SENDER)
        return token
