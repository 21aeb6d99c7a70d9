"""Alert rules that cannot fire are found, and metrics are read as Azure Monitor has them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.clients import monitor
from shared.errors import PermanentIntegrationError
from shared.models.runs import ActivityInput
from shared.names import environment_names
from tests.integration.world import SUBSCRIPTION, Document, World, run_of

RULES = "2018-03-01"
MINUTE = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class Watched:
    """A resource group with a vault, an action group and one alert rule."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
        self.vault = f"{self.group}/providers/Microsoft.KeyVault/vaults/kv{sum(name.encode())}"
        self.told = f"{self.group}/providers/Microsoft.Insights/actionGroups/ag"
        world.azure(self.group, "2025-04-01", "PUT", {"location": "westeurope"})
        properties = {
            "tenantId": "11111111-1111-1111-1111-111111111111",
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": True,
        }
        world.azure(self.vault, "2023-07-01", "PUT", {"location": "westeurope", "properties": properties})
        self.tell(["payments@example.com"])
        self.rule()

    def tell(self, addresses: list[str], *, enabled: bool = True) -> None:
        receivers = [{"name": a, "emailAddress": a, "useCommonAlertSchema": True} for a in addresses]
        properties: Document = {"groupShortName": "ag", "enabled": enabled, "emailReceivers": receivers}
        self.world.azure(self.told, "2023-01-01", "PUT", {"location": "global", "properties": properties})

    def rule(self, metric: str = "Availability", **changed: Any) -> None:
        criterion = {
            "criterionType": "StaticThresholdCriterion",
            "name": "one",
            "metricName": metric,
            "metricNamespace": "Microsoft.KeyVault/vaults",
            "operator": "LessThan",
            "threshold": 99,
            "timeAggregation": "Average",
        }
        kind = "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
        properties: Document = {
            "severity": 3,
            "enabled": True,
            "scopes": [self.vault],
            "evaluationFrequency": "PT5M",
            "windowSize": "PT15M",
            "criteria": {"odata.type": kind, "allOf": [criterion]},
            "actions": [{"actionGroupId": self.told}],
        }
        path = f"{self.group}/providers/Microsoft.Insights/metricAlerts/alert"
        self.world.azure(path, RULES, "PUT", {"location": "global", "properties": properties | changed})


async def _verified(world: World) -> tuple[Watched, ActivityInput]:
    record = await world.order()
    watched = Watched(world, environment_names(record.application, "dev", record.id).resource_group)
    return watched, ActivityInput(run=run_of(record, "environment", "dev"))


async def test_rules_that_can_fire_are_fine(world: World) -> None:
    _, payload = await _verified(world)
    assert (await world.value("verify_alert_rules", payload))["detail"] == "1 alert rules watch, 1 told"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda watched: watched.rule(enabled=False), "is off, watches nothing or tells nobody"),
        (lambda watched: watched.rule(actions=[]), "is off, watches nothing or tells nobody"),
        (lambda watched: watched.rule("Availabilty"), "Failed to find metric configuration"),
        (lambda watched: watched.tell([]), "an action group is off or has no receiver"),
        (lambda watched: watched.tell(["a@example.com"], enabled=False), "an action group is off or has no receiver"),
    ],
    ids=["off", "tells nobody", "no such metric", "no receiver", "group off"],
)
async def test_a_rule_that_can_never_fire_is_a_problem(world: World, change: Any, sentence: str) -> None:
    watched, payload = await _verified(world)
    change(watched)
    outcome = await world.run("verify_alert_rules", payload)
    assert not outcome.ok
    assert outcome.problem
    assert sentence in outcome.problem.detail


async def test_minutes_without_a_value_are_left_out(world: World) -> None:
    watched, _ = await _verified(world)
    stamps = {f"2026-11-25T12:0{minute}:00Z": value for minute, value in ((1, 100.0), (3, 97.5))}
    world.seed("arm", {f"metric/{watched.vault.lower()}/Availability": stamps})
    metric = monitor.WatchedMetric(
        resource_id=watched.vault.upper().replace("/SUBSCRIPTIONS/", "/subscriptions/"),
        namespace="Microsoft.KeyVault/vaults",
        name="availability",
        aggregation="Average",
    )
    points = await monitor.read_metric(metric, MINUTE, MINUTE + timedelta(minutes=5))
    assert [(point.at.minute, point.value) for point in points] == [(1, 100.0), (3, 97.5)]


async def test_an_unknown_metric_is_permanent(world: World) -> None:
    watched, _ = await _verified(world)
    metric = monitor.WatchedMetric(resource_id=watched.vault, namespace="", name="Uptime", aggregation="Average")
    with pytest.raises(PermanentIntegrationError, match="Uptime"):
        await monitor.read_metric(metric, MINUTE, MINUTE + timedelta(minutes=5))
