"""Real costs: as the vendor reports them, as they are kept, and as people get to see them."""

from decimal import Decimal

from shared.models import Model


class CostRow(Model):
    """What one resource group cost under one value of the tag ``application``; empty without the tag."""

    application: str
    resource_group: str
    cost: Decimal


class SubscriptionCosts(Model):
    """A month of one subscription, as the vendor reported it.

    Attributes:
        currency: empty when nothing was used.
    """

    subscription: str
    month: str
    currency: str
    rows: list[CostRow]


class CostCacheRecord(Model):
    """The latest report of a subscription and month, and who is fetching a newer one.

    Attributes:
        blob: the report; empty before the first.
        as_of: when it was asked for.
        holder: who is asking now, until ``until``; then somebody else may.
        retry_at: nobody asks before.
        problem: why the latest question had no answer.
    """

    schema_version: int = 1
    blob: str = ""
    as_of: str = ""
    holder: str = ""
    until: str = ""
    retry_at: str = ""
    problem: str = ""


class CostSource(Model):
    """Where numbers of a report come from.

    Attributes:
        as_of: when Cost Management was asked; None when there is no report at all.
        stale: whether a newer report could not be had, or somebody is fetching it.
        problem: why.
    """

    subscription: str
    as_of: str | None
    age_seconds: int | None
    stale: bool
    problem: str | None = None


class ApplicationCosts(Model):
    """What an application cost in a month, beside what was estimated and allowed. Amounts are decimal text.

    Attributes:
        environments: by environment; ``other``: tagged, but in none of its resource groups.
        untagged: part of ``actual`` without the tag, counted by its resource group.
        estimate: of its plan, a month.
        budget: of its request, a month.
        percent_of_budget: whole percent, rounded up; None in another currency than the budget's.
    """

    application: str
    owner_team: str
    actual: str
    environments: dict[str, str]
    untagged: str
    estimate: str | None
    budget: str
    budget_currency: str
    percent_of_budget: int | None


class EstateCosts(Model):
    """All of it, applications or not.

    Attributes:
        untagged: what carries no tag ``application``.
        untagged_share: of the total, four places; ``0`` without costs.
        unattributed: part of ``untagged`` that is in no application's resource group either.
        unknown: tagged with a name that is no application's.
    """

    total: str
    untagged: str
    untagged_share: str
    unattributed: str
    unknown: dict[str, str]
