"""What applications really cost, beside what was estimated and allowed."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from shared import costs, landing_zones
from shared.authorisation import SEE, Subject, may_see, why_not
from shared.cost_reports import Reading, months, read_costs
from shared.costs import Attribution
from shared.errors import RequestRejectedError, TransientIntegrationError, VendorCall
from shared.identity import Caller
from shared.models import Model
from shared.models.costs import ApplicationCosts, CostSource, EstateCosts
from shared.models.records import ApplicationRecord
from shared.register import requests
from triggers._http import Answer, Call, endpoint
from triggers.http_catalogue import visible_application


class ApplicationCostReport(Model):
    """What an application cost in a month; `complete` is false when a subscription's report is missing."""

    month: str
    currency: str
    complete: bool
    costs: ApplicationCosts
    sources: list[CostSource]


class CostReport(Model):
    """What the applications that the caller may see cost; `estate` only for those who may see everything."""

    month: str
    currency: str
    complete: bool
    applications: list[ApplicationCosts]
    teams: dict[str, str]
    estate: EstateCosts | None
    sources: list[CostSource]


@endpoint(
    "GET",
    "applications/{name}/costs",
    action=SEE,
    summary="What an application cost in a month (`?month=YYYY-MM`), beside estimate and budget.",
    answers={200: ApplicationCostReport},
)
async def get_application_costs(call: Call) -> Answer:
    """Show the costs of one application."""
    application = await visible_application(call)
    month = _month(call)
    request = await requests.get(application.name, application.request_id)
    readings = await _read({str(zone["subscriptionId"]) for zone in request.zones.values()}, month)
    found, currency = _attributed(readings, [application])
    report = ApplicationCostReport(
        month=month,
        currency=currency,
        complete=_complete(readings),
        costs=costs.of_application(found, application, request, currency),
        sources=[reading.source for reading in readings],
    )
    return Answer(200, report.document(), _headers(readings))


@endpoint(
    "GET",
    "costs",
    action=SEE,
    summary="What all applications cost in a month (`?month=YYYY-MM`, `?team=`), and the share that carries no tag.",
    answers={200: CostReport},
)
async def list_costs(call: Call) -> Answer:
    """Show the costs of every application that the caller may see."""
    month, team = _month(call), call.query.get("team")
    applications = [item async for item in requests.applications()]
    readings = await _read({zone.subscription_id for zone in landing_zones.landing_zones()}, month)
    found, currency = _attributed(readings, applications)
    shown = [item for item in applications if may_see(call.caller, item) and team in (None, item.owner_team)]
    lines = await _lines(found, shown, currency)
    report = CostReport(
        month=month,
        currency=currency,
        complete=_complete(readings),
        applications=lines,
        teams=_teams(lines),
        estate=costs.of_estate(found) if _sees_everything(call.caller) else None,
        sources=[reading.source for reading in readings],
    )
    return Answer(200, report.document(), _headers(readings))


def _month(call: Call) -> str:
    possible = months(datetime.now(UTC).date())
    month = call.query.get("month") or possible[0]
    if month not in possible:
        detail = f"month: a month as YYYY-MM, from {possible[-1]} to {possible[0]}."
        raise RequestRejectedError("invalid-month", detail)
    return month


async def _read(subscriptions: Iterable[str], month: str) -> list[Reading]:
    """The report of each subscription.

    Raises:
        TransientIntegrationError: there is none of any; says when to ask again.
    """
    readings = await asyncio.gather(*(read_costs(subscription, month) for subscription in sorted(subscriptions)))
    if readings and not any(reading.costs for reading in readings):
        place, first = VendorCall("cost management", "query costs"), readings[0]
        wait = max(reading.retry_after or 0 for reading in readings)
        raise TransientIntegrationError(place, first.source.problem or "there is no report yet", wait)
    return readings


def _attributed(readings: list[Reading], applications: list[ApplicationRecord]) -> tuple[Attribution, str]:
    reports = [reading.costs for reading in readings if reading.costs]
    currencies = {report.currency for report in reports if report.currency}
    if len(currencies) > 1:
        detail = f"The subscriptions are billed in several currencies ({', '.join(sorted(currencies))})."
        raise RequestRejectedError("several-currencies", detail, status=409)
    rows = [row for report in reports for row in report.rows]
    return costs.attribute(rows, applications), next(iter(currencies), "")


def _complete(readings: list[Reading]) -> bool:
    return all(reading.costs for reading in readings)


def _headers(readings: list[Reading]) -> dict[str, str]:
    """When a report that is missing here may be had."""
    waits = [reading.retry_after for reading in readings if reading.retry_after is not None]
    return {"Retry-After": str(round(max(waits)))} if waits else {}


async def _lines(found: Attribution, shown: list[ApplicationRecord], currency: str) -> list[ApplicationCosts]:
    asked = {record.id: record async for record in requests.every()}
    return [
        costs.of_application(found, item, asked[item.request_id], currency)
        for item in sorted(shown, key=lambda item: item.name)
        if item.request_id in asked
    ]


def _teams(lines: list[ApplicationCosts]) -> dict[str, str]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        sums[line.owner_team] += Decimal(line.actual)
    return {team: costs.money(amount) for team, amount in sorted(sums.items())}


def _sees_everything(caller: Caller) -> bool:
    """Whether the caller may see what is nobody's."""
    return why_not(caller, SEE, Subject("", "")) is None
