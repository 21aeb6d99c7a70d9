"""The smallest Durable Functions app that uses pydantic and httpx: what a cold start costs at least."""

import azure.durable_functions as df
import azure.functions as func
import httpx
from pydantic import BaseModel

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


class Order(BaseModel):
    name: str


@app.route(route="orders")  # type: ignore[untyped-decorator]
async def take(req: func.HttpRequest) -> func.HttpResponse:
    order = Order.model_validate_json(req.get_body())
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"https://example.com/{order.name}")
    return func.HttpResponse(status_code=answer.status_code)
