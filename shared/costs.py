"""Whose costs are whose. Pure: rows of Cost Management and of the register in, a report out."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from shared.models.costs import ApplicationCosts, CostRow, EstateCosts
from shared.models.records import ApplicationRecord, RequestRecord
from shared.names import environment_names

_CENT = Decimal("0.01")
_SHARE = Decimal("0.0001")
_OTHER = "other"


@dataclass
class _Sum:
    """Exact sums of one application."""

    environments: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    untagged: Decimal = Decimal(0)


@dataclass
class Attribution:
    """Rows told apart; everything exact, rounded only when it is shown."""

    applications: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))
    unknown: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    total: Decimal = Decimal(0)
    untagged: Decimal = Decimal(0)
    unattributed: Decimal = Decimal(0)


def attribute(rows: Iterable[CostRow], applications: Iterable[ApplicationRecord]) -> Attribution:
    """Give every row to its application: by the tag, or without one by the resource group."""
    known = {item.name: item for item in applications}
    places = {
        environment_names(item.name, environment, item.request_id).resource_group: (item.name, environment)
        for item in known.values()
        for environment in item.environments
    }
    found = Attribution()
    for row in rows:
        name, (owner, environment) = row.application, places.get(row.resource_group.lower(), ("", _OTHER))
        found.total += row.cost
        if not name:
            found.untagged += row.cost
            if not owner:
                found.unattributed += row.cost
                continue
            found.applications[owner].untagged += row.cost
            found.applications[owner].environments[environment] += row.cost
        elif name in known:
            found.applications[name].environments[environment if owner == name else _OTHER] += row.cost
        else:
            found.unknown[name] += row.cost
    return found


def of_application(
    found: Attribution, application: ApplicationRecord, request: RequestRecord, currency: str
) -> ApplicationCosts:
    """What one application cost, beside estimate and budget."""
    sums = found.applications.get(application.name) or _Sum()
    actual, budget = sum(sums.environments.values(), Decimal(0)), request.body.monthly_budget
    comparable = currency in ("", request.body.currency)
    estimate = request.plan.summary.get("monthly") if request.plan else None
    return ApplicationCosts(
        application=application.name,
        owner_team=application.owner_team,
        actual=money(actual),
        environments={name: money(cost) for name, cost in sorted(sums.environments.items())},
        untagged=money(sums.untagged),
        estimate=str(estimate) if estimate is not None else None,
        budget=money(budget),
        budget_currency=request.body.currency,
        percent_of_budget=_percent(actual, budget) if comparable else None,
    )


def of_estate(found: Attribution) -> EstateCosts:
    """All costs, and how much of them is nobody's by its tags."""
    share = (found.untagged / found.total).quantize(_SHARE, ROUND_HALF_UP) if found.total else Decimal(0)
    return EstateCosts(
        total=money(found.total),
        untagged=money(found.untagged),
        untagged_share=format(share, "f"),
        unattributed=money(found.unattributed),
        unknown={name: money(cost) for name, cost in sorted(found.unknown.items())},
    )


def money(amount: Decimal) -> str:
    """An amount to the cent."""
    return format(amount.quantize(_CENT, ROUND_HALF_UP), "f")


def _percent(actual: Decimal, budget: Decimal) -> int:
    return int((100 * actual / budget).to_integral_value(ROUND_CEILING))
