"""Azure's SDKs on the way that everything else takes to Azure Resource Manager: under the one budget of calls."""

import time
from typing import Any

import httpx
from azure.core.pipeline.policies import AsyncHTTPPolicy

from shared.clients._arm import SharedBudget
from shared.clients._http import Call


class BudgetPolicy(AsyncHTTPPolicy[Any, Any]):
    """Every request of an SDK's client waits for its turn, each page of a list too, and every answer is heard.

    Documentation: https://learn.microsoft.com/python/api/azure-core/azure.core.pipeline.policies.asynchttppolicy
    """

    def __init__(self, integration: str, operation: str) -> None:
        super().__init__()
        self._integration, self._operation, self._budget = integration, operation, SharedBudget()

    async def send(self, request: Any) -> Any:
        """Send the request when it may be sent.

        Raises:
            TransientIntegrationError: as SharedBudget.admit.
        """
        asked = request.http_request
        call = Call(self._operation, asked.method, httpx.URL(asked.url).path)
        await self._budget.admit(self._integration, call)
        sent = time.monotonic()
        response = await self.next.send(request)
        await self._budget.heard(call, await _heard(response.http_response), time.monotonic() - sent)
        return response


async def _heard(answer: Any) -> httpx.Response:
    """What the budget listens to: status, headers, and of a refusal the body, which says who refused."""
    refused = answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    body = await answer.read() if refused else b""  # decoded; the SDK reads it again from its memory
    headers = {str(name): str(value) for name, value in answer.headers.items() if name.lower() != "content-encoding"}
    return httpx.Response(answer.status_code, headers=headers, content=body)
