"""Metrics of resources: which there are, and the values that somebody put there.

https://learn.microsoft.com/azure/azure-monitor/reference/metrics-index, /rest/api/monitor/metrics/list
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from .errors import bad_request
from .estate import Estate, Resource

METRICS_SUFFIX = "/providers/microsoft.insights/metrics"
AGGREGATIONS = ("Average", "Count", "Maximum", "Minimum", "Total")
KNOWN = {
    "microsoft.keyvault/vaults": {
        "Availability": "Percent",
        "SaturationShoebox": "Percent",
        "ServiceApiHit": "Count",
        "ServiceApiLatency": "MilliSeconds",
        "ServiceApiResult": "Count",
    },
    "microsoft.dbforpostgresql/flexibleservers": {
        "active_connections": "Count",
        "connections_failed": "Count",
        "cpu_percent": "Percent",
        "is_db_alive": "Count",
        "memory_percent": "Percent",
        "storage_percent": "Percent",
        "storage_used": "Bytes",
    },
    "microsoft.servicebus/namespaces": {
        "ActiveMessages": "Count",
        "DeadletteredMessages": "Count",
        "IncomingMessages": "Count",
        "ServerErrors": "Count",
        "ThrottledRequests": "Count",
    },
    "microsoft.storage/storageaccounts": {
        "Availability": "Percent",
        "SuccessE2ELatency": "MilliSeconds",
        "Transactions": "Count",
        "UsedCapacity": "Bytes",
    },
    "microsoft.web/staticsites": {"BytesSent": "Bytes", "SiteErrors": "Count", "SiteHits": "Count"},
}
SPAN = re.compile(r"(?P<since>[^/]+)/(?P<until>[^/]+)")


def answer_metrics(estate: Estate, path: str, request: web.Request) -> web.Response:
    """One metric of one resource per minute. Values are the documents `metric/<id>/<name>`: `{minute: value}`."""
    resource, query = estate.get(path), request.query
    if resource is None:
        raise bad_request("ResourceNotFound", f"The resource '{path}' could not be found.")
    name, since, until = _metric(resource, query.get("metricnames", "")), *_span(query.get("timespan", ""))
    aggregation = query.get("aggregation", "Average")
    if aggregation not in AGGREGATIONS or query.get("interval", "PT1M") != "PT1M":
        raise bad_request("BadRequest", f"The stand-in has {', '.join(AGGREGATIONS)} per PT1M only.")
    values = estate.store.get(f"metric/{resource['id'].lower()}/{name}") or {}
    data = [_point(minute, aggregation.lower(), values) for minute in _minutes(since, until)]
    metric = {
        "id": f"{resource['id']}/providers/Microsoft.Insights/metrics/{name}",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": name, "localizedValue": name},
        "displayDescription": name,
        "unit": KNOWN[resource["type"].lower()][name],
        "timeseries": [{"metadatavalues": [], "data": data}],
        "errorCode": "Success",
    }
    head = {"cost": 59, "timespan": query["timespan"], "interval": "PT1M", "namespace": resource["type"]}
    return web.json_response(head | {"resourceregion": resource.get("location", "global"), "value": [metric]})


def _metric(resource: Resource, wanted: str) -> str:
    """The metric as the vendor writes it; names are compared without regard to case."""
    known = KNOWN.get(resource["type"].lower(), {})
    for name in known:
        if name.lower() == wanted.lower():
            return name
    found = f"Failed to find metric configuration for provider: {resource['type']}, metric: {wanted}."
    raise bad_request("BadRequest", f"{found} Valid metrics: {','.join(known)}")


def _span(text: str) -> tuple[datetime, datetime]:
    if not (hit := SPAN.fullmatch(text)):
        raise bad_request("BadRequest", f"Invalid time span '{text}'.")
    since, until = (datetime.fromisoformat(hit[part]).astimezone(UTC) for part in ("since", "until"))
    return since.replace(second=0, microsecond=0), until


def _minutes(since: datetime, until: datetime) -> list[datetime]:
    return [since + timedelta(minutes=n) for n in range(max(0, int((until - since).total_seconds() // 60)))]


def _point(minute: datetime, field: str, values: dict[str, float]) -> dict[str, Any]:
    """A minute; without a value the field is absent, as the service does it."""
    stamp = minute.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"timeStamp": stamp} | ({field: values[stamp]} if stamp in values else {})
