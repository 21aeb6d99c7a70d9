"""Microsoft Cost Management: what a subscription really cost, by application and resource group.

Documentation: https://learn.microsoft.com/rest/api/cost-management/query/usage
"""

from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.errors import PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.models import Model
from shared.models.costs import CostRow
from shared.settings import Settings

TAG = "application"
_HOST = "management.azure.com"
_VERSION = "2025-03-01"
_OPERATION = "query costs"
_PAGES = 100
_NOTHING = 204
_COST = ("cost", "totalcost")


class CostSettings(Settings):
    """Reports of real costs."""

    model_config = SettingsConfigDict(env_prefix="COSTS_", frozen=True, extra="ignore")

    cache_minutes: float = Field(
        default=240.0, gt=0, description="Minutes for which a report of the current month is not asked for again."
    )


class _Column(Model):
    name: str


class _Properties(Model):
    next_link: str | None = None
    columns: list[_Column]
    rows: list[list[Any]]


class _Result(Model):
    properties: _Properties


_COSTS = arm("cost management", traced=False)


async def query_costs(subscription: str, first: date, last: date) -> tuple[str, list[CostRow]]:
    """Costs of a subscription from the first to the last day, both included, by application and resource group.

    Returns:
        The currency (empty without any cost) and the rows; ``application`` is empty where the tag is missing.

    Raises:
        TransientIntegrationError: throttled, no answer, or not the documented one.
        PermanentIntegrationError: the app may not read costs there, or they are in several currencies.
    """
    path = f"/subscriptions/{subscription}/providers/Microsoft.CostManagement/query"
    params, rows = {"api-version": _VERSION}, []
    currencies: set[str] = set()
    for _ in range(_PAGES):
        call = Call(_OPERATION, "POST", path, _definition(first, last), params=params, expect=(200, _NOTHING))
        answer = await _COSTS.call(call)
        if answer.status == _NOTHING:
            return "", []
        page = _COSTS.shaped(call, answer, _Result).properties
        for currency, row in map(_reader(page.columns), page.rows):
            currencies.add(currency)
            rows.append(row)
        if not page.next_link:
            return _one(currencies), rows
        params = _next(page.next_link, path)
    raise _unexpected(f"more than {_PAGES} pages")


def _definition(first: date, last: date) -> dict[str, Any]:
    """Without a granularity the answer is one sum for the whole time."""
    return {
        "type": "ActualCost",
        "timeframe": "Custom",
        "timePeriod": {"from": f"{first.isoformat()}T00:00:00Z", "to": f"{last.isoformat()}T23:59:59Z"},
        "dataset": {
            "aggregation": {"totalCost": {"name": "Cost", "function": "Sum"}},
            "grouping": [{"type": "TagKey", "name": TAG}, {"type": "Dimension", "name": "ResourceGroupName"}],
        },
    }


def _reader(columns: list[_Column]) -> Any:
    """How a row of these columns is read; the service fixes their names, not their order."""
    places = {column.name.lower(): number for number, column in enumerate(columns)}
    cost = next((places[name] for name in _COST if name in places), None)
    if cost is None or not {"tagvalue", "resourcegroupname", "currency"} <= places.keys():
        raise _unexpected(f"the columns are {', '.join(places)}")

    def read(row: list[Any]) -> tuple[str, CostRow]:
        if len(row) != len(columns):
            raise _unexpected("a row has not as many values as there are columns")
        return str(row[places["currency"]]), CostRow(
            application=str(row[places["tagvalue"]] or ""),
            resource_group=str(row[places["resourcegroupname"]] or ""),
            cost=Decimal(str(row[cost])),
        )

    return read


def _one(currencies: set[str]) -> str:
    if len(currencies) > 1:
        call = VendorCall(_COSTS.name, _OPERATION, 200)
        raise PermanentIntegrationError(call, f"costs in several currencies: {', '.join(sorted(currencies))}")
    return next(iter(currencies), "")


def _next(link: str, path: str) -> dict[str, str]:
    """Query of the next page, which must be at the same place."""
    parts = urlsplit(link)
    if (parts.scheme, parts.hostname, parts.path.lower()) != ("https", _HOST, path.lower()):
        raise _unexpected("the next page is somewhere else")
    return dict(parse_qsl(parts.query))


def _unexpected(detail: str) -> TransientIntegrationError:
    return TransientIntegrationError(VendorCall(_COSTS.name, _OPERATION, 200), detail)
