"""Azure Monitor: alert rules of a resource group, who is told, and metrics of resources, read with azure-mgmt-monitor.

Terraform makes rules and action groups; here they are only read.
Documentation: https://learn.microsoft.com/rest/api/monitor/
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.clients._retry_after import retry_after
from shared.credential import credential
from shared.errors import (
    ConflictError,
    IntegrationError,
    NotAuthorizedError,
    NotFoundError,
    PermanentIntegrationError,
    TransientIntegrationError,
    VendorCall,
)
from shared.models import Model
from shared.settings import USER_AGENT
from shared.telemetry import spans

if TYPE_CHECKING:
    from azure.mgmt.monitor.aio import MonitorManagementClient

_INTEGRATION = "azure monitor"
_REPEAT = frozenset({408, 429})
_BY_STATUS: dict[int, type[IntegrationError]] = {
    401: NotAuthorizedError,
    403: NotAuthorizedError,
    404: NotFoundError,
    409: ConflictError,
}


class WatchedMetric(Model):
    """What a rule compares: a metric of a resource."""

    resource_id: str
    namespace: str
    name: str
    aggregation: str


class AlertRule(Model):
    """A metric alert rule.

    Attributes:
        action_groups: ARM ids of those who are told.
    """

    name: str
    enabled: bool
    watches: list[WatchedMetric]
    action_groups: list[str]


class Point(Model):
    """A value of a metric, and the minute (UTC) at which its interval begins."""

    at: datetime
    value: float


async def list_alert_rules(subscription: str, group: str) -> list[AlertRule]:
    """The metric alert rules of a resource group.

    Documentation: https://learn.microsoft.com/rest/api/monitor/metric-alerts/list-by-resource-group
    """
    async with _client("list alert rules", subscription) as client:
        return [_rule(item) async for item in client.metric_alerts.list_by_resource_group(group)]


def _rule(item: Any) -> AlertRule:
    criteria = getattr(item.criteria, "all_of", None) or []
    watches = [
        WatchedMetric(
            resource_id=scope,
            namespace=one.metric_namespace or "",
            name=one.metric_name,
            aggregation=str(getattr(one.time_aggregation, "value", one.time_aggregation)),
        )
        for scope in item.scopes
        for one in criteria
    ]
    groups = [action.action_group_id for action in item.actions or [] if action.action_group_id]
    return AlertRule(name=item.name, enabled=bool(item.enabled), watches=watches, action_groups=groups)


async def count_receivers(action_group_id: str) -> int:
    """How many receivers an action group tells; none when it is switched off.

    Documentation: https://learn.microsoft.com/rest/api/monitor/action-groups/get
    """
    subscription, group, name = _parts(action_group_id)
    async with _client("read action group", subscription) as client:
        found = await client.action_groups.get(group, name)
        if found.group_short_name is None:
            raise TypeError("an action group without a short name")
        kinds = ("email", "webhook", "azure_function", "logic_app", "automation_runbook", "event_hub", "arm_role")
        return sum(len(getattr(found, f"{kind}_receivers") or []) for kind in kinds) if found.enabled else 0


async def read_metric(metric: WatchedMetric, since: datetime, until: datetime) -> list[Point]:
    """Values of a metric per minute, oldest first; minutes without a value are left out.

    Documentation: https://learn.microsoft.com/rest/api/monitor/metrics/list

    Raises:
        PermanentIntegrationError: the resource has no such metric.
    """
    subscription, *_ = _parts(metric.resource_id)
    span = "/".join(moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (since, until))
    async with _client("read metric", subscription) as client:
        answer = await client.metrics.list(
            metric.resource_id,
            timespan=span,
            interval="PT1M",
            metricnames=metric.name,
            metricnamespace=metric.namespace or None,
            aggregation=metric.aggregation,
        )
        series = [series for value in answer.value for series in value.timeseries or []]
    field = metric.aggregation.lower()
    values = [(point.time_stamp, getattr(point, field)) for one in series for point in one.data or []]
    return [Point(at=at, value=value) for at, value in sorted(values) if value is not None]


def _parts(resource_id: str) -> tuple[str, str, str]:
    """Subscription, resource group and name of an ARM id, whatever its case."""
    parts = resource_id.strip("/").split("/")
    return parts[1], parts[3], parts[-1]


@asynccontextmanager
async def _client(operation: str, subscription: str) -> AsyncIterator["MonitorManagementClient"]:
    """The SDK's client under the budget of calls; its errors become ours, an answer without the vendor's shape too.

    It does not try again by itself: its policy would sleep through a long Retry-After inside the activity.
    """
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - heavy
    from azure.mgmt.monitor.aio import MonitorManagementClient  # noqa: PLC0415 - heavy

    from shared.clients._arm_sdk import BudgetPolicy  # noqa: PLC0415 - heavy

    budget = BudgetPolicy(_INTEGRATION, operation)
    options: dict[str, Any] = {"user_agent": USER_AGENT, "retry_total": 0, "per_retry_policies": [budget]}
    with spans.vendor_call(_INTEGRATION, operation):
        try:
            async with MonitorManagementClient(credential(), subscription, **options) as client:
                yield client
        except AzureError as error:
            raise _error(operation, error) from error
        except (TypeError, AttributeError, ValueError) as error:
            place = VendorCall(_INTEGRATION, operation, 200)
            raise TransientIntegrationError(place, "not the expected answer") from error


def _error(operation: str, error: Exception) -> IntegrationError:
    status = getattr(error, "status_code", None)
    call = VendorCall(_INTEGRATION, operation, status)
    wait = retry_after(getattr(getattr(error, "response", None), "headers", None) or {}, datetime.now(UTC))
    if wait is not None or status is None or status in _REPEAT or not 400 <= status < 500:  # noqa: PLR2004 - 4xx
        return TransientIntegrationError(call, type(error).__name__, wait)
    return _BY_STATUS.get(status, PermanentIntegrationError)(call, str(getattr(error, "message", error))[:300])
