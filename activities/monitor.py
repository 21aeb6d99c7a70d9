"""Azure Monitor watches an environment: rules that are on, metrics that exist, somebody who is told."""

import asyncio
from datetime import UTC, datetime, timedelta

from activities._activity import activity
from shared import plan as plans
from shared.clients import monitor
from shared.errors import PermanentIntegrationError, VendorCall
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Nothing
from shared.names import environment_names
from shared.register import requests

_RULE = "azurerm_monitor_metric_alert"
_WINDOW = timedelta(minutes=5)


@activity
async def verify_alert_rules(data: ActivityInput) -> Nothing:
    """Prove that the environment's alert rules can fire: a rule on a metric that does not exist is silent for ever.

    Idempotency: reads only.

    Raises:
        PermanentIntegrationError: a rule is missing or off, watches nothing, or tells nobody.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    environment = str(data.run.environment)
    zone = plans.zone_of(record, environment)
    group = environment_names(record.application, environment, record.id).resource_group
    rules = await monitor.list_alert_rules(zone.subscription_id, group)
    if len(rules) < _planned(record, environment):
        raise _silent(f"{group} has {len(rules)} of {_planned(record, environment)} alert rules")
    for rule in rules:
        if not (rule.enabled and rule.watches and rule.action_groups):
            raise _silent(f"alert rule {rule.name} is off, watches nothing or tells nobody")
    metrics = [metric for rule in rules for metric in rule.watches]
    groups = sorted({name for rule in rules for name in rule.action_groups})
    now = datetime.now(UTC)
    told, _ = await asyncio.gather(
        asyncio.gather(*(monitor.count_receivers(name) for name in groups)),
        asyncio.gather(*(monitor.read_metric(metric, now - _WINDOW, now) for metric in metrics)),
    )
    if not all(told):
        raise _silent("an action group is off or has no receiver")
    return Nothing(detail=f"{len(rules)} alert rules watch, {sum(told)} told")


def _planned(record: RequestRecord, environment: str) -> int:
    environments = record.plan.environments if record.plan else []
    return sum(
        change.type == _RULE and change.action != "delete"
        for plan in environments
        if plan.environment == environment
        for change in plan.changes
    )


def _silent(detail: str) -> PermanentIntegrationError:
    return PermanentIntegrationError(VendorCall("azure monitor", "verify alert rules", 200), detail)
