"""Collects what a person looks at first about a resource: how it stands, its health, its last metrics. Changes nothing.

One parameter: the ARM id of the resource. What cannot be read is told, and keeps nothing else from being read.
Documentation: https://learn.microsoft.com/rest/api/monitor/metrics/list and
https://learn.microsoft.com/rest/api/resourcehealth/availability-statuses/get-by-resource
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

ARM = "https://management.azure.com"
GROUPS, HEALTH, METRICS = "2025-04-01", "2022-10-01", "2024-02-01"
PARTS = 9  # of the id of a resource
LOOK_BACK = timedelta(minutes=30)
# What tells most about each type, and how it is summed up over a minute.
WATCHED = {
    "microsoft.dbforpostgresql/flexibleservers": (
        ("storage_percent", "Average"),
        ("cpu_percent", "Average"),
        ("memory_percent", "Average"),
        ("active_connections", "Average"),
        ("is_db_alive", "Maximum"),
    ),
    "microsoft.keyvault/vaults": (("Availability", "Average"), ("SaturationShoebox", "Average")),
    "microsoft.storage/storageaccounts": (("Availability", "Average"), ("SuccessE2ELatency", "Average")),
    "microsoft.servicebus/namespaces": (("ActiveMessages", "Average"), ("DeadletteredMessages", "Average")),
    "microsoft.web/staticsites": (("SiteHits", "Total"), ("SiteErrors", "Total")),
}


def main(target: str) -> dict[str, object]:
    """What is known of the resource.

    Raises:
        ValueError: the target is no ARM id of a resource.
    """
    parts = target.split("/")
    if not target.lower().startswith("/subscriptions/") or len(parts) < PARTS:
        raise ValueError(f"{target} is no resource")
    token = sign_in()
    kind = "/".join((parts[6], parts[7])).lower()
    report: dict[str, object] = {
        "resource": parts[-1],
        "type": kind,
        "state": attempt(partial(state_of, target, token)),
        "health": attempt(partial(health_of, target, token)),
    }
    for name, aggregation in WATCHED.get(kind, ()):
        report[name] = attempt(partial(metric_of, target, name, aggregation, token))
    return report


def attempt(read: Callable[[], object]) -> object:
    """What was read, or why it could not be."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - one that cannot be read must not hide the others
        return f"could not be read: {error}"[:200]


def state_of(target: str, token: str) -> dict[str, object]:
    """Whether it is provisioned, and when it was changed last."""
    group = "/".join(target.split("/")[:5])
    query = {"api-version": GROUPS, "$expand": "provisioningState,changedTime"}
    rows = get(f"{group}/resources", query, token)["value"]
    found = next((row for row in rows if str(row["id"]).lower() == target.lower()), None)
    if found is None:
        raise LookupError("its resource group does not list it")
    return {name: found.get(name) for name in ("provisioningState", "changedTime")}


def health_of(target: str, token: str) -> dict[str, object]:
    """What Azure itself says of its health."""
    path = f"{target}/providers/Microsoft.ResourceHealth/availabilityStatuses/current"
    found = get(path, {"api-version": HEALTH}, token)["properties"]
    return {name: found.get(name) for name in ("availabilityState", "summary")}


def metric_of(target: str, name: str, aggregation: str, token: str) -> dict[str, object]:
    """Lowest, highest and newest value of a metric in the last half hour."""
    now = datetime.now(timezone.utc)  # noqa: UP017 - Python 3.10 has no datetime.UTC
    span = "/".join(moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (now - LOOK_BACK, now))
    query = {"api-version": METRICS, "metricnames": name, "aggregation": aggregation, "interval": "PT1M"}
    found = get(f"{target}/providers/Microsoft.Insights/metrics", query | {"timespan": span}, token)["value"]
    points = [point for metric in found for series in metric["timeseries"] for point in series["data"]]
    values = [point[aggregation.lower()] for point in points if point.get(aggregation.lower()) is not None]
    return {"lowest": min(values), "highest": max(values), "newest": values[-1]} if values else {}


def sign_in() -> str:
    """A token of the account's own identity.

    Documentation: https://learn.microsoft.com/azure/automation/enable-managed-identity-for-automation
    """
    query = urllib.parse.urlencode({"resource": f"{ARM}/", "api-version": "2019-08-01"})
    headers = {"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"], "Metadata": "True"}
    request = urllib.request.Request(f"{os.environ['IDENTITY_ENDPOINT']}?{query}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["access_token"])


def get(path: str, query: dict[str, str], token: str) -> dict[str, Any]:
    """Read a document of Azure Resource Manager.

    Raises:
        RuntimeError: it refused; the sentence says why.
    """
    url = f"{ARM}{path}?{urllib.parse.urlencode(query, safe='$,')}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            document: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{error.code}: {error.read(120).decode('utf-8', 'replace')}") from error
    return document


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1]), indent=1))
