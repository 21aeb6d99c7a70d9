"""How long a vendor asks us to wait, in every dialect met so far."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_CLOCK = re.compile(r"^(\d+):(\d{2}):(\d{2})$")
_ONE_OF_SEVERAL = re.compile(r"^x-ms-ratelimit-[a-z.-]+-retry-after$")
_EPOCH = 1_000_000_000


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, or None when the vendor does not say.

    Understands ``retry-after-ms`` (Azure OpenAI), ``Retry-After`` as seconds or HTTP date (RFC 9110), and the reset
    headers of exhausted quotas: epoch seconds (GitHub, ServiceNow), seconds as a fraction (HCP Terraform), an ISO
    time (Jira), ``hh:mm:ss`` (Resource Graph). Cost Management names a wait for each limit that was passed
    (``x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after``, ``-entity-``, ``-tenant-``): the longest counts.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    if (value := lower.get("retry-after-ms")) and value.isdigit():
        return int(value) / 1000
    if value := lower.get("retry-after"):
        return _seconds(value, now)
    if lower.get("x-ratelimit-remaining") == "0" and (value := lower.get("x-ratelimit-reset")):
        return _seconds(value, now)
    if lower.get("x-ms-user-quota-remaining") == "0" and (value := lower.get("x-ms-user-quota-resets-after")):
        return _seconds(value, now)
    waits = [_seconds(value, now) for name, value in lower.items() if _ONE_OF_SEVERAL.match(name)]
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(value: str, now: datetime) -> float | None:
    if hit := _CLOCK.match(value):
        hours, minutes, seconds = (int(part) for part in hit.groups())
        return float(hours * 3600 + minutes * 60 + seconds)
    try:
        number = float(value)
    except ValueError:
        moment = _moment(value)
        return max(0.0, (moment - now).total_seconds()) if moment else None
    return max(0.0, number - now.timestamp()) if number > _EPOCH else max(0.0, number)


def _moment(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
