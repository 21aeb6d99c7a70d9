"""Azure's list prices, as Microsoft publishes them for everybody: no sign-in, no discounts.

Documentation: https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field

from shared.clients._http import Call, Vendor
from shared.errors import TransientIntegrationError, VendorCall
from shared.models import Model

_HOST = "prices.azure.com"
_PATH = "/api/retail/prices"
_OPERATION = "list retail prices"
_PAGES = 50


class ListPrice(Model):
    """One row: the price of one meter, from one tier of use on.

    Attributes:
        retail_price: price of one unit of measure in the currency.
        tier_minimum_units: use from which on the price holds.
        type: ``Consumption``, ``Reservation``, ``DevTestConsumption``.
        effective_end_date: when the price ends, if that is known.
    """

    currency_code: str
    retail_price: Decimal
    tier_minimum_units: Decimal
    unit_of_measure: str
    meter_id: str
    meter_name: str
    product_name: str
    sku_name: str
    type: str
    effective_start_date: datetime
    effective_end_date: datetime | None = None


class _Page(Model):
    items: list[ListPrice] = Field(alias="Items")
    next_page_link: str | None = Field(alias="NextPageLink")


async def _nobody() -> dict[str, str]:
    return {}


_PRICES = Vendor("azure retail prices", f"https://{_HOST}", _nobody)


async def list_prices(fields: Mapping[str, str], currency: str) -> list[ListPrice]:
    """Every row whose fields have exactly these values, in one currency.

    Raises:
        TransientIntegrationError: no answer, throttled, or an answer that is not the documented one.
    """
    wanted = " and ".join(f"{name} eq '{_quoted(value)}'" for name, value in sorted(fields.items()))
    path, params = _PATH, {"currencyCode": f"'{currency}'", "$filter": wanted}
    found: list[ListPrice] = []
    for _ in range(_PAGES):
        page = await _PRICES.read(Call(_OPERATION, "GET", path, params=params), _Page)
        found += page.items
        if not page.next_page_link:
            return found
        path, params = _next(page.next_page_link)
    raise _unexpected(f"more than {_PAGES} pages: {wanted}")


def _next(link: str) -> tuple[str, dict[str, str]]:
    """Path and query of the next page, which must be at the same place."""
    parts = urlsplit(link)
    if (parts.scheme, parts.hostname, parts.path) != ("https", _HOST, _PATH):
        raise _unexpected("the next page is somewhere else")
    return parts.path, dict(parse_qsl(parts.query))


def _unexpected(detail: str) -> TransientIntegrationError:
    return TransientIntegrationError(VendorCall(_PRICES.name, _OPERATION, 200), detail)


def _quoted(value: str) -> str:
    return value.replace("'", "''")
