"""Alerts in the common alert schema.

https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

type Resource = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """One criterion over its window."""

    criterion: dict[str, Any]
    value: float
    met: bool
    begin: str
    end: str

    def document(self) -> dict[str, Any]:
        names = ("metricName", "metricNamespace", "operator", "timeAggregation")
        compared = {name: self.criterion.get(name) for name in names}
        threshold = {"threshold": str(self.criterion["threshold"]), "metricValue": self.value}
        return compared | threshold | {"dimensions": [], "webTestName": None}


def new_alert(rule: Resource) -> dict[str, Any]:
    """What is the same in Fired and Resolved."""
    subscription = "/".join(rule["id"].split("/")[:3])
    place = f"{subscription}/providers/Microsoft.AlertsManagement/alerts/{uuid4()}"
    return {"id": place, "fired": datetime.now(UTC).isoformat()}


def notice_of(
    rule: Resource, target: str, alert: dict[str, Any], condition: str, measured: list[Measured]
) -> dict[str, Any]:
    """The document that an action group sends; thresholds are texts, and ids of targets in lower case."""
    properties = rule["properties"]
    essentials = {
        "alertId": alert["id"],
        "alertRule": rule["name"],
        "alertRuleID": rule["id"],
        "severity": f"Sev{properties['severity']}",
        "signalType": "Metric",
        "monitorCondition": condition,
        "monitoringService": "Platform",
        "alertTargetIDs": [target.lower()],
        "configurationItems": [target.rpartition("/")[2]],
        "originAlertId": alert["id"].rpartition("/")[2],
        "firedDateTime": alert["fired"],
        "description": properties.get("description", ""),
        "essentialsVersion": "1.0",
        "alertContextVersion": "1.0",
    }
    if condition == "Resolved":
        essentials["resolvedDateTime"] = datetime.now(UTC).isoformat()
    context = {
        "properties": None,
        "conditionType": properties["criteria"]["odata.type"].rpartition(".")[2],
        "condition": {
            "windowSize": properties["windowSize"],
            "allOf": [one.document() for one in measured],
            "windowStartTime": measured[0].begin,
            "windowEndTime": measured[0].end,
        },
    }
    data = {"essentials": essentials, "alertContext": context, "customProperties": None}
    return {"schemaId": "azureMonitorCommonAlertSchema", "data": data}
