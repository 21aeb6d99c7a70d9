"""Reports of real costs: asked for once, however many want to read them.

Cost Management allows a tenant a dozen queries in ten seconds. So a report is kept, and whoever finds it too old claims
the right to fetch a newer one; meanwhile everybody else reads the old one, which says how old it is.
"""

import asyncio
import calendar
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from shared.canonical import canonical_json, sha256_hex
from shared.clients import blobs
from shared.clients.cost_management import CostSettings, query_costs
from shared.clock import utc_now
from shared.errors import IntegrationError, TransientIntegrationError, VendorCall
from shared.log import LOGGER, redact
from shared.models.costs import CostCacheRecord, CostSource, SubscriptionCosts
from shared.register import cost_cache
from shared.settings import load

_LEASE = timedelta(seconds=180)  # longer than a question with all its tries
_PATIENCE = 25.0  # seconds; a reader of the very first report waits for whoever fetches it
_LOOK = 0.1  # seconds until a reader looks again: at first, and at most; many who look often only slow the one down
_SLOWEST_LOOK = 2.0
_PAUSE = 60.0  # seconds until the next question when the vendor does not say
_LEAST = 5.0  # and at least, whatever it says
_SETTLED_DAYS = 6  # after the month: later nothing is added to it any more
_MONTHS = 12


@dataclass(frozen=True)
class Reading:
    """A report and where it comes from; None when there is none.

    Attributes:
        retry_after: seconds after which a report may be had, when there is none now.
    """

    costs: SubscriptionCosts | None
    source: CostSource
    retry_after: float | None = None


def months(today: date) -> list[str]:
    """The months that a report can be had of, newest first: Cost Management answers for a year."""
    numbers = [today.year * 12 + today.month - 1 - back for back in range(_MONTHS + 1)]
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in numbers]


async def read_costs(subscription: str, month: str) -> Reading:
    """The latest report of a subscription's month; a newer one is fetched by exactly one of all who read."""
    holder, pause = uuid.uuid4().hex, _LOOK
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        found, now = await cost_cache.find(subscription, month), utc_now()
        if found and (_fresh(found, month) or found.retry_at > now):
            return await _reading(subscription, found)
        claimed = found is not None and found.until > now
        if claimed and found and found.blob:
            return await _reading(subscription, found, refreshing=True)
        if not claimed and await cost_cache.claim(subscription, month, found, holder, _later(_LEASE)):
            await _fetch(subscription, month, holder)
            continue
        if asyncio.get_running_loop().time() > deadline:
            detail = "somebody else is fetching the report and does not come to an end"
            raise TransientIntegrationError(VendorCall("cost management", "query costs"), detail, _PAUSE)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _SLOWEST_LOOK)


def _fresh(found: CostCacheRecord, month: str) -> bool:
    if not found.as_of:
        return False
    as_of = datetime.fromisoformat(found.as_of)
    if as_of.date() > _last_day(month) + timedelta(days=_SETTLED_DAYS):
        return True
    return as_of > datetime.now(UTC) - timedelta(minutes=load(CostSettings).cache_minutes)


def _last_day(month: str) -> date:
    year, number = int(month[:4]), int(month[5:])
    return date(year, number, calendar.monthrange(year, number)[1])


async def _fetch(subscription: str, month: str, holder: str) -> None:
    """Ask the vendor once; the report, or why there is none, is what everybody finds then."""
    as_of = utc_now()
    try:
        currency, rows = await query_costs(subscription, date.fromisoformat(f"{month}-01"), _last_day(month))
        costs = SubscriptionCosts(subscription=subscription, month=month, currency=currency, rows=rows)
        content = canonical_json(costs.document())
        blob = f"costs/{subscription}/{month}/{sha256_hex(content)}.json"
        await blobs.write_document(blob, content)
    except IntegrationError as error:
        LOGGER.warning("no report of the costs of %s in %s: %s", subscription, month, error)
        wait = error.retry_after if isinstance(error, TransientIntegrationError) else None
        retry_at = _later(timedelta(seconds=max(_LEAST, _PAUSE if wait is None else wait)))
        await cost_cache.settle(subscription, month, holder, retry_at=retry_at, problem=redact(str(error))[:500])
    except BaseException:
        await cost_cache.settle(subscription, month, holder)
        raise
    else:
        await cost_cache.settle(subscription, month, holder, blob=blob, as_of=as_of, retry_at="", problem="")


async def _reading(subscription: str, found: CostCacheRecord, *, refreshing: bool = False) -> Reading:
    age = _seconds_since(found.as_of) if found.as_of else None
    source = CostSource(
        subscription=subscription,
        as_of=found.as_of or None,
        age_seconds=age,
        stale=refreshing or bool(found.problem),
        problem=found.problem or ("a newer report is being fetched" if refreshing else None),
    )
    if not found.blob:
        return Reading(None, source, retry_after=max(1.0, -_seconds_since(found.retry_at)))
    costs = SubscriptionCosts.model_validate_json(await blobs.read_document(found.blob))
    return Reading(costs, source)


def _later(wait: timedelta) -> str:
    moment = datetime.now(UTC) + wait
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds_since(moment: str) -> int:
    return round((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())
