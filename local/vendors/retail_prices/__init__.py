"""Azure's public list prices (prices.azure.com): no sign-in, filters, pages.

https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices
"""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from local.vendors.kernel import Kernel, Store, Vendor

HOST = "prices.azure.com"
PATH = "/api/retail/prices"
ITEMS = Path(__file__).with_name("items.json")
PAGE = 100
TERM = re.compile(r"(?P<name>\w+) eq '(?P<value>(?:[^']|'')*)'(?: and |$)")
# The names that a filter may use; `priceType` is `type` in the answer.
FIELDS = {
    name.lower(): name
    for name in (
        "armRegionName",
        "location",
        "meterId",
        "meterName",
        "productName",
        "skuName",
        "serviceName",
        "serviceFamily",
        "armSkuName",
    )
} | {"pricetype": "type"}

type Item = dict[str, Any]


def build(kernel: Kernel) -> Vendor:
    prices = Prices(kernel.store("retail_prices"))
    return Vendor("retail_prices", (HOST,), [web.get(PATH, prices.handle)])


class Prices:
    """Rows of `items.json`, and those that somebody put there: documents `item/<anything>`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._book = json.loads(ITEMS.read_text())

    async def handle(self, request: web.Request) -> web.Response:
        query = request.query
        currency = query.get("currencyCode", "USD").strip("'")
        rate = self._book["rates"].get(currency)
        terms = _terms(query.get("$filter", ""))
        skip = query.get("$skip", "0")
        if rate is None or terms is None or not skip.isdigit():
            error = {"Code": "BadRequest", "Message": "The query specified in the URI is not valid."}
            return web.json_response({"Error": error}, status=400)
        fitting = [item for item in self._items() if all(str(item.get(name)) == value for name, value in terms)]
        size = int((self._store.get("settings/page") or {}).get("size", PAGE))
        start = int(skip)
        page = [_shown(item, currency, rate) for item in fitting[start : start + size]]
        more = start + size < len(fitting)
        following = {**query, "$skip": str(start + size)}
        return web.json_response(
            {
                "BillingCurrency": currency,
                "CustomerEntityId": "Default",
                "CustomerEntityType": "Retail",
                "Items": page,
                "NextPageLink": f"https://{HOST}:443{PATH}?{urlencode(following)}" if more else None,
                "Count": len(page),
            }
        )

    def _items(self) -> list[Item]:
        added = [item for _, item in self._store.list("item/")]
        hidden = {meter for _, document in self._store.list("hidden/") for meter in document["meters"]}
        rows = [self._book["common"] | item for item in [*self._book["items"], *added]]
        return [row for row in rows if row["meterId"] not in hidden]


def _terms(text: str) -> list[tuple[str, str]] | None:
    """The conditions of a filter, in the names of the answer; None when it is none that the vendor understands."""
    found, at = [], 0
    while at < len(text):
        hit = TERM.match(text, at)
        if hit is None or hit["name"].lower() not in FIELDS:
            return None
        found.append((FIELDS[hit["name"].lower()], hit["value"].replace("''", "'")))
        at = hit.end()
    return found


def _shown(item: Item, currency: str, rate: float) -> Item:
    price = round(item["retailPrice"] * rate, 6)
    shown = item | {"currencyCode": currency, "retailPrice": price, "unitPrice": price}
    shown |= {"productId": f"DZH318{item['meterId'][:6].upper()}", "skuId": f"DZH318{item['meterId'][:6].upper()}/0001"}
    return {name: value for name, value in shown.items() if value is not None}
